"""AlexNet on CIFAR: Krizhevsky 2014, arXiv 1404.5997, as in bearpaw/pytorch-classification.

  python -m cifar_jax.main --config configs/alexnet.py

Published error (bearpaw's README): 22.78 % on CIFAR-10, 56.13 % on CIFAR-100. Recipe (bearpaw's
TRAINING.md and the defaults of its cifar.py): 164 epochs with batches of 128 images, learning rate
0.1, divided by 10 at epochs 81 and 122, weight decay 5e-4, momentum 0.9 (not Nesterov), crops
padded by 4 with zeros, flips. A comment in bearpaw's models/cifar/alexnet.py recommends a rate of
0.01, because the net has no batch normalisation (`--config.schedule.learning_rate=0.01`). bearpaw
trains on all 50,000 images (`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: groups (1 or 2), local_response_norm, dropout, dataset, epochs.
  """
  args = arguments(
    text, groups=1, local_response_norm=False, dropout=0.0, dataset='cifar10', epochs=164
  )
  config = base('alexnet', args.dataset)
  config.model.update(
    groups=args.groups,
    local_response_norm=args.local_response_norm,
    dropout=args.dropout,
  )
  config.schedule.update(
    name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(81 / 164, 122 / 164)
  )
  config.optimizer.update(momentum=0.9, nesterov=False, weight_decay=5e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
