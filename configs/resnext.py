"""ResNeXt on CIFAR: Xie et al. 2017, arXiv 1611.05431, section 5.4.

  python -m cifar_jax.main --config configs/resnext.py:cardinality=16,base_width=64

Published error on CIFAR-10 / CIFAR-100 (table 7, mean of 10 runs): 3.65 / 17.77 % (8x64d) and
3.58 / 17.31 % (16x64d). Recipe: 300 epochs with batches of 128 images, learning rate 0.1, divided
by 10 at epochs 150 and 225, weight decay 5e-4 (the paper's; others use a tenth of it), crops padded
by 4, flips. The paper trains on all 50,000 images (`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: depth (9n + 2), cardinality, base_width, dataset, epochs.
  """
  args = arguments(text, depth=29, cardinality=8, base_width=64, dataset='cifar10', epochs=300)
  name = f'resnext_{args.depth}_{args.cardinality}x{args.base_width}d'
  config = base(name, args.dataset)
  config.model.update(survival_probability=1.0, survival_decay='linear')
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=5e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
