"""FractalNet on CIFAR: Larsson et al. 2017, arXiv 1605.07648.

  python -m cifar_jax.main --config configs/fractalnet.py

Published error in the table below. Recipe (section 4.2): 400 epochs of 100 images, rate 0.02, a
tenth each time that the epochs left have halved, momentum 0.9, dropout from 0 in the first block
to 0.4 in the last, drop-path of 0.15, shifts by up to 4 pixels (zeros beyond), flip. The paper
names no weight decay and, with 20 layers, trains on all 50,000 images
(`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Table 1, 20 layers, augmented: whether drop-path and dropout are used; error in percent.
VARIANTS = {
  False: {'cifar10': 5.22, 'cifar100': 23.30},
  True: {'cifar10': 4.60, 'cifar100': 23.73},
}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: depth (5 * 2^n), regularize (drop-path and dropout), columns, dataset, epochs."""
  arguments = configs.arguments(
    text, depth=20, regularize=True, columns='all', dataset='cifar10', epochs=400
  )
  config = configs.base(f'fractalnet{arguments.depth}', arguments.dataset)
  config.model.update(drop_path=0.0, dropout=0.0, columns=arguments.columns)
  if arguments.regularize:
    config.model.update(drop_path=0.15, dropout=0.4)
  # 400 = 2^4 * 25: after epochs 200, 300, 350 and 375.
  config.schedule.update(
    name='piecewise', learning_rate=0.02, factor=0.1, boundaries=(0.5, 0.75, 0.875, 0.9375)
  )
  config.optimizer.update(momentum=0.9, nesterov=False, weight_decay=0.0)
  config.train.update(num_epochs=arguments.epochs, batch_size=100)
  return config
