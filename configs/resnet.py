"""ResNet on CIFAR: He et al. 2015, arXiv 1512.03385, section 4.2.

  python -m cifar_jax.main --config configs/resnet.py:depth=20
  python -m cifar_jax.main --config configs/resnet.py:depth=34,form=homework

Published error on CIFAR-10 (table 6): 8.75 % (20 layers), 7.51 (32), 7.17 (44), 6.97 (56),
6.43 (110, best of 5 runs; mean 6.61), 7.93 (1202). Recipe: 64k steps with batches of 128 images,
learning rate 0.1, divided by 10 after 32k and 48k steps, crops padded by 4 with zeros, flips; a net
of 110 layers starts at 0.01. The paper and this recipe hold out 5,000 images for validation.

Differences: the momentum of 0.9 is Nesterov's here, as in fb.resnet.torch; each channel is
normalised, where the paper subtracts the mean image; and the rate rises from 0.01 over one epoch,
where the paper keeps 0.01 for 400 steps.

The nets of 18, 34, 50, 101 and 152 layers are those of table 1 with a CIFAR stem, trained by the
same recipe. `form` gives them another stem, and images of the size that this stem is made for.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base, one_of

WARMUP_EPOCHS = {110: 1.0, 1202: 1.0}  # by depth: the low rate at the start; 0 for other depths
# By form: suffix of the model's name, height and width of the images in pixels (0: as they are).
FORMS = {
  'cifar': ('', 0),
  'bottleneck': ('_bottleneck', 0),
  'imagenet': ('_imagenet', 224),
  'homework': ('_homework', 128),
}


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: depth, form (one of `FORMS`), shortcut (by default the one of the published net), dataset,
      epochs, schedule.
  """
  args = arguments(
    text,
    depth=20,
    form='cifar',
    shortcut='',
    dataset='cifar10',
    epochs=182,
    schedule='piecewise',
  )
  suffix, image_size = FORMS[one_of('form', args.form, tuple(FORMS))]
  config = base(f'resnet{args.depth}{suffix}', args.dataset)
  config.data.image_size = image_size
  config.model.update(survival_probability=1.0, survival_decay='linear')
  config.model.update(norm=True, initialization='he')
  if args.shortcut:
    config.model.shortcut = args.shortcut
  config.schedule.name = args.schedule
  config.schedule.update(learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.warmup_epochs = WARMUP_EPOCHS.get(args.depth, 0.0)
  config.schedule.warmup_learning_rate = 0.01
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
