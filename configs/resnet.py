"""ResNet on CIFAR: He et al. 2015, arXiv 1512.03385, section 4.2.

  python -m cifar_jax.main --config configs/resnet.py:depth=20
  python -m cifar_jax.main --config configs/resnet.py:depth=34,form=homework

Published error on CIFAR-10 (table 6): 8.75 % (20 layers), 7.51 (32), 7.17 (44), 6.97 (56),
6.43 (110, best of 5; mean 6.61), 7.93 (1202). Recipe: 64k iterations of 128 images, rate 0.1, a
tenth at 32k and 48k; zero padding of 4, flip; 110 layers begin at 0.01. The paper holds out 5,000
images, as does this. It says momentum 0.9 where this is Nesterov's, as in fb.resnet.torch; it
subtracts the mean image where this normalises each channel; and it keeps the first 0.01 for 400
iterations where this rises from it over one epoch. 18, 34, 50, 101 and 152 are the nets of table 1
with a CIFAR stem, trained the same way here; with `form` they have another stem, and the images are
resized to what that is made for.
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Table 6: error in percent, and the depths that need the low rate at the beginning.
VARIANTS = {
  20: {'error_percent': 8.75, 'warmup_epochs': 0.0},
  32: {'error_percent': 7.51, 'warmup_epochs': 0.0},
  44: {'error_percent': 7.17, 'warmup_epochs': 0.0},
  56: {'error_percent': 6.97, 'warmup_epochs': 0.0},
  110: {'error_percent': 6.43, 'warmup_epochs': 1.0},
  1202: {'error_percent': 7.93, 'warmup_epochs': 1.0},
}
# Suffix of the model's name, and the images' height and width (0: as they are).
FORMS = {
  'cifar': ('', 0),
  'bottleneck': ('_bottleneck', 0),
  'imagenet': ('_imagenet', 224),
  'homework': ('_homework', 128),
}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: depth, form (see FORMS), shortcut (the net's own), dataset, epochs, schedule."""
  arguments = configs.arguments(
    text,
    depth=20,
    form='cifar',
    shortcut='',
    dataset='cifar10',
    epochs=182,
    schedule='piecewise',
  )
  suffix, image_size = FORMS[configs.one_of('form', arguments.form, tuple(FORMS))]
  config = configs.base(f'resnet{arguments.depth}{suffix}', arguments.dataset)
  config.data.image_size = image_size
  config.model.update(survival_probability=1.0, survival_decay='linear')
  if arguments.shortcut:
    config.model.shortcut = arguments.shortcut
  config.schedule.name = arguments.schedule
  config.schedule.update(learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.warmup_epochs = VARIANTS.get(arguments.depth, {}).get('warmup_epochs', 0.0)
  config.schedule.warmup_learning_rate = 0.01
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
