"""ResNet with stochastic depth on CIFAR: Huang et al. 2016, arXiv 1603.09382.

  python -m cifar_jax.main --config configs/stochastic_depth.py:depth=110

Published error: 5.23 % on CIFAR-10 and 24.58 on CIFAR-100 with 110 layers (6.41 and 27.22 for the
authors' own constant depth), 4.91 on CIFAR-10 with 1202. Survival falls linearly to 0.5; 500
epochs, rate 0.1, a tenth at half and three quarters; 45,000 images to train and 5,000 to choose by.
The shortcuts pool where ResNet's option A takes every second pixel, as in the authors' code.
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Error in percent; 1202 layers train with the low rate at the beginning of ResNet's recipe.
VARIANTS = {
  110: {'cifar10': 5.23, 'cifar100': 24.58, 'warmup_epochs': 0.0},
  1202: {'cifar10': 4.91, 'warmup_epochs': 1.0},
}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: depth (6n + 2), survival (of the last block), decay, dataset, epochs."""
  arguments = configs.arguments(
    text, depth=110, survival=0.5, decay='linear', dataset='cifar10', epochs=500
  )
  config = configs.base(f'resnet{arguments.depth}_stochastic_depth', arguments.dataset)
  config.model.survival_probability = arguments.survival
  config.model.survival_decay = configs.one_of('decay', arguments.decay, ('linear', 'uniform'))
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.warmup_epochs = VARIANTS.get(arguments.depth, {}).get('warmup_epochs', 0.0)
  config.schedule.warmup_learning_rate = 0.01
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
