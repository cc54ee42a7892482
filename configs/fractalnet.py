"""FractalNet on CIFAR: Larsson et al. 2017, arXiv 1605.07648.

  python -m cifar_jax.main --config configs/fractalnet.py

Published error (table 1, 20 layers, with augmentation), on CIFAR-10 and CIFAR-100: 4.60 and 23.73 %
with drop-path and dropout, 5.22 and 23.30 % without (`regularize=false`). Recipe (section 4.2): 400
epochs with batches of 100 images, learning rate 0.02, divided by 10 each time the number of
remaining epochs has halved, momentum 0.9, dropout from 0 in the first block to 0.4 in the last,
drop-path of 0.15, shifts by up to 4 pixels (zeros outside), flips. The paper names no weight decay
and trains the net of 20 layers on all 50,000 images (`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: depth (5 * 2^n), regularize (whether drop-path and dropout are used), columns (all,
      deepest), dataset, epochs.
  """
  args = arguments(text, depth=20, regularize=True, columns='all', dataset='cifar10', epochs=400)
  config = base(f'fractalnet{args.depth}', args.dataset)
  config.model.update(drop_path=0.0, dropout=0.0, columns=args.columns)
  if args.regularize:
    config.model.update(drop_path=0.15, dropout=0.4)
  # 400 = 2^4 * 25: after epochs 200, 300, 350 and 375.
  config.schedule.update(
    name='piecewise', learning_rate=0.02, factor=0.1, boundaries=(0.5, 0.75, 0.875, 0.9375)
  )
  config.optimizer.update(momentum=0.9, nesterov=False, weight_decay=0.0)
  config.train.update(num_epochs=args.epochs, batch_size=100)
  return config
