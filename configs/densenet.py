"""DenseNet on CIFAR: Huang et al. 2017, arXiv 1608.06993.

  python -m cifar_jax.main --config configs/densenet.py
  python -m cifar_jax.main --config configs/densenet.py:depth=40,growth_rate=12,bc=false

Published error in the table below. Recipe (section 4.2): 300 epochs of 64 images, rate 0.1, a tenth
at half and three quarters, decay 1e-4, Nesterov momentum, zero padding of 4, flip; without these
two (`augment=false`) dropout of 0.2 instead. The paper trains on all 50,000 images
(`--config.data.validation_size=0`). With `remat=true` the deep ones fit into less memory.
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Table 2: depth and growth rate; error in percent on CIFAR-10 and CIFAR-100, augmented.
VARIANTS = {
  'plain': {
    (40, 12): (5.24, 24.42),
    (100, 12): (4.10, 20.20),
    (100, 24): (3.74, 19.25),
  },
  'bc': {
    (100, 12): (4.51, 22.27),
    (250, 24): (3.62, 17.60),
    (190, 40): (3.46, 17.18),
  },
}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: depth (3n + 4; bc: 6n + 4), growth_rate, bc, augment, remat, dataset, epochs."""
  arguments = configs.arguments(
    text,
    depth=100,
    growth_rate=12,
    bc=True,
    augment=True,
    remat=False,
    dataset='cifar10',
    epochs=300,
  )
  kind = 'densenet_bc' if arguments.bc else 'densenet'
  config = configs.base(f'{kind}_{arguments.depth}_{arguments.growth_rate}', arguments.dataset)
  config.model.update(dropout=0.0 if arguments.augment else 0.2, remat=arguments.remat)
  if not arguments.augment:
    config.augment.update(flip=False, pad=0)
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=64)
  return config
