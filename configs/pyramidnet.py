"""PyramidNet on CIFAR: Han et al. 2017, arXiv 1610.02915.

  python -m cifar_jax.main --config configs/pyramidnet.py
  python -m cifar_jax.main --config configs/pyramidnet.py:depth=272,alpha=200,dataset=cifar100

Published error in the table below. Recipe: 300 epochs of 128 images, rate 0.1 (0.5 on CIFAR-100), a
tenth at epochs 150 and 225, decay 1e-4, Nesterov momentum, zero padding of 4, flip. The paper
trains on all 50,000 images (`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Table 4 and the authors' README: depth and alpha; error in percent on CIFAR-10 and CIFAR-100.
VARIANTS = {
  'basic': {
    (110, 48): (4.62, 23.31),
    (110, 84): (4.27, 20.21),
    (110, 270): (3.73, 18.25),
  },
  'bottleneck': {
    (164, 48): (4.21, 19.52),
    (164, 84): (3.96, 18.32),
    (164, 270): (3.48, 17.01),
    (200, 240): (3.44, 16.51),
    (236, 220): (3.40, 16.37),
    (272, 200): (3.31, 16.35),
  },
}
LEARNING_RATES = {'cifar100': 0.5}  # 0.1 elsewhere


def get_config(text: str = '') -> ConfigDict:
  """Arguments: depth, alpha, block (basic, bottleneck; by default the table's), dataset, epochs."""
  arguments = configs.arguments(text, depth=110, alpha=48, block='', dataset='cifar10', epochs=300)
  published = (arguments.depth, arguments.alpha) in VARIANTS['bottleneck']
  default = 'bottleneck' if published else 'basic'
  block = configs.one_of('block', arguments.block or default, tuple(VARIANTS))
  suffix = '_bottleneck' if block == 'bottleneck' else ''
  config = configs.base(
    f'pyramidnet{arguments.depth}_a{arguments.alpha}{suffix}', arguments.dataset
  )
  config.model.survival_probability = 1.0
  config.schedule.update(name='piecewise', factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.learning_rate = LEARNING_RATES.get(arguments.dataset, 0.1)
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
