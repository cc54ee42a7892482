"""ResNet on CIFAR with a deformable last stage: Dai et al. 2017, arXiv 1703.06211 (v1), and
Zhu et al. 2018, arXiv 1811.11168 (v2).

  python -m cifar_jax.main --config configs/deformable.py:depth=20
  python -m cifar_jax.main --config configs/deformable.py:depth=56,version=v2

No error is published on CIFAR: both papers are on detection and segmentation. The recipe is that of
ResNet (He et al. 2015, arXiv 1512.03385, section 4.2; `configs/resnet.py` says where this differs):
64k iterations of 128 images, rate 0.1, a tenth at 32k and 48k; 110 layers begin at 0.01. The offset
convolutions learn at the same rate: v1's default (section 2.3); v2 gives them a tenth.
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# v1, eq. 2: taps move; v2, eq. 1: and are weighted by a mask.
VARIANTS = {'v1': {'modulated': False}, 'v2': {'modulated': True}}
WARMUP_EPOCHS = {110: 1.0}  # 0 elsewhere


def get_config(text: str = '') -> ConfigDict:
  """Arguments: depth (6n + 2), version (v1, v2), dataset, epochs."""
  arguments = configs.arguments(text, depth=20, version='v1', dataset='cifar10', epochs=182)
  version = configs.one_of('version', arguments.version, tuple(VARIANTS))
  config = configs.base(f'deformable_resnet{arguments.depth}', arguments.dataset)
  config.model.update(shortcut='pad', survival_probability=1.0, **VARIANTS[version])
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.warmup_epochs = WARMUP_EPOCHS.get(arguments.depth, 0.0)
  config.schedule.warmup_learning_rate = 0.01
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
