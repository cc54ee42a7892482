"""Residual nets with squeeze-and-excitation on CIFAR: Hu et al. 2018, arXiv 1709.01507.

  python -m cifar_jax.main --config configs/se_resnet.py:name=se_resnet110

Published error, as others quote it for want of the paper's own table: 5.21 % for SE-ResNet-110 on
CIFAR-10, against 6.37 without. The reduction is 16 (section 6.1); otherwise the recipe is that of
the net that it is put into, ResNet's here (configs/resnet.py).
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Any residual family takes the prefix; these are the nets that comparisons print.
VARIANTS = {
  'se_resnet20': {},
  'se_resnet110': {'cifar10': 5.21, 'warmup_epochs': 1.0},
  'se_wrn_28_10': {},
  'se_resnext_29_8x64d': {},
}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: name (of the model), dataset, epochs."""
  arguments = configs.arguments(text, name='se_resnet110', dataset='cifar10', epochs=182)
  config = configs.base(arguments.name, arguments.dataset)
  config.model.squeeze_excitation = 16
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.warmup_epochs = VARIANTS.get(arguments.name, {}).get('warmup_epochs', 0.0)
  config.schedule.warmup_learning_rate = 0.01
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
