"""ResNet on CIFAR with a deformable last stage: Dai et al. 2017, arXiv 1703.06211 (v1), and
Zhu et al. 2018, arXiv 1811.11168 (v2).

  python -m cifar_jax.main --config configs/deformable.py:depth=20
  python -m cifar_jax.main --config configs/deformable.py:depth=56,version=v2

No error is published on CIFAR: both papers are on detection and segmentation. The recipe is
ResNet's (He et al. 2015, arXiv 1512.03385, section 4.2): 64k steps with batches of 128 images,
learning rate 0.1, divided by 10 after 32k and 48k steps; a net of 110 layers starts at 0.01.
`configs/resnet.py` says where this recipe differs from the paper. The offset convolutions have the
common learning rate, which is the default of v1 (section 2.3); v2 uses a tenth of it for them.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base, one_of

# v1 moves the taps of a convolution (eq. 2); v2 also multiplies them by a mask (eq. 1).
VERSIONS = {'v1': {'modulated': False}, 'v2': {'modulated': True}}
WARMUP_EPOCHS = {110: 1.0}  # by depth, as in ResNet's recipe; 0 for other depths


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: depth (6n + 2), version (v1, v2), dataset, epochs.
  """
  args = arguments(text, depth=20, version='v1', dataset='cifar10', epochs=182)
  version = one_of('version', args.version, tuple(VERSIONS))
  config = base(f'deformable_resnet{args.depth}', args.dataset)
  config.model.update(shortcut='pad', survival_probability=1.0, **VERSIONS[version])
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.warmup_epochs = WARMUP_EPOCHS.get(args.depth, 0.0)
  config.schedule.warmup_learning_rate = 0.01
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
