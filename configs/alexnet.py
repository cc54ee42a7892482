"""AlexNet on CIFAR: Krizhevsky 2014, arXiv 1404.5997, as bearpaw/pytorch-classification has it.

  python -m cifar_jax.main --config configs/alexnet.py

Published error in the table below. Recipe (its TRAINING.md and the defaults of its cifar.py): 164
epochs of 128 images, rate 0.1, a tenth at epochs 81 and 122, decay 5e-4, momentum 0.9 without
Nesterov's; zero padding of 4, flip. A comment in its models/cifar/alexnet.py asks for 0.01 instead,
as there is no batch normalisation (`--config.schedule.learning_rate=0.01`). It trains on all 50,000
images (`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# The README: error in percent.
VARIANTS = {'alexnet': {'cifar10': 22.78, 'cifar100': 56.13}}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: groups (1 or 2), local_response_norm, dropout, dataset, epochs."""
  arguments = configs.arguments(
    text, groups=1, local_response_norm=False, dropout=0.0, dataset='cifar10', epochs=164
  )
  config = configs.base('alexnet', arguments.dataset)
  config.model.update(
    groups=arguments.groups,
    local_response_norm=arguments.local_response_norm,
    dropout=arguments.dropout,
  )
  config.schedule.update(
    name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(81 / 164, 122 / 164)
  )
  config.optimizer.update(momentum=0.9, nesterov=False, weight_decay=5e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
