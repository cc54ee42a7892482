"""DenseNet on CIFAR: Huang et al. 2017, arXiv 1608.06993.

  python -m cifar_jax.main --config configs/densenet.py
  python -m cifar_jax.main --config configs/densenet.py:depth=40,growth_rate=12,bc=false

Published error with augmentation (table 2), percent:

  depth, growth rate   CIFAR-10  CIFAR-100      depth, growth rate   CIFAR-10  CIFAR-100
  40, 12                   5.24      24.42      BC, 100, 12              4.51      22.27
  100, 12                  4.10      20.20      BC, 250, 24              3.62      17.60
  100, 24                  3.74      19.25      BC, 190, 40              3.46      17.18

Recipe (section 4.2): 300 epochs with batches of 64 images, learning rate 0.1, divided by 10 after
one half and three quarters of the epochs, weight decay 1e-4, Nesterov momentum, crops padded by 4
with zeros, flips. Without crops and flips (`augment=false`) the nets have dropout of 0.2 instead.
The paper trains on all 50,000 images (`--config.data.validation_size=0`). `remat=true` fits the
deep nets into less memory.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: depth (3n + 4, or 6n + 4 with bc), growth_rate, bc, augment, remat, dataset, epochs.
  """
  args = arguments(
    text,
    depth=100,
    growth_rate=12,
    bc=True,
    augment=True,
    remat=False,
    dataset='cifar10',
    epochs=300,
  )
  kind = 'densenet_bc' if args.bc else 'densenet'
  config = base(f'{kind}_{args.depth}_{args.growth_rate}', args.dataset)
  config.model.update(dropout=0.0 if args.augment else 0.2, remat=args.remat)
  if not args.augment:
    config.augment.update(flip=False, pad=0)
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=args.epochs, batch_size=64)
  return config
