"""ResNeXt on CIFAR: Xie et al. 2017, arXiv 1611.05431, section 5.4.

  python -m cifar_jax.main --config configs/resnext.py:cardinality=16,base_width=64

Published error (table 7, mean of 10) in the table below. Recipe: 300 epochs of 128 images, rate
0.1, a tenth at epochs 150 and 225, decay 5e-4 (the paper's; ten times less elsewhere), flips and
crops padded by 4. The paper trains on all 50,000 images (`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Table 7: error in percent, by cardinality and base width.
VARIANTS = {
  (8, 64): {'cifar10': 3.65, 'cifar100': 17.77},
  (16, 64): {'cifar10': 3.58, 'cifar100': 17.31},
}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: depth (9n + 2), cardinality, base_width, dataset, epochs."""
  arguments = configs.arguments(
    text, depth=29, cardinality=8, base_width=64, dataset='cifar10', epochs=300
  )
  name = f'resnext_{arguments.depth}_{arguments.cardinality}x{arguments.base_width}d'
  config = configs.base(name, arguments.dataset)
  config.model.update(survival_probability=1.0, survival_decay='linear')
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=5e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
