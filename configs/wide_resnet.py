"""Wide ResNet on CIFAR: Zagoruyko and Komodakis 2016, arXiv 1605.07146.

  python -m cifar_jax.main --config configs/wide_resnet.py:depth=28,widen_factor=10,dropout=0.3

Published error on CIFAR-10 / CIFAR-100 with normalised channels (median of 5 runs): 4.53 / 21.18 %
(40-4), 4.27 / 20.43 % (16-8), 4.00 / 19.25 % (28-10), 3.89 / 18.85 % (28-10 with dropout 0.3).
Recipe: 200 epochs, learning rate 0.1, divided by 5 at epochs 60, 120 and 160, weight decay 5e-4,
crops padded by reflection. The paper reports the last epoch of training on all 50,000 images
(`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: depth (6n + 4), widen_factor, block (33, 131, ...: kernel sizes of its convolutions),
      dropout, dataset, epochs.
  """
  args = arguments(
    text, depth=28, widen_factor=10, block='33', dropout=0.0, dataset='cifar10', epochs=200
  )
  suffix = '' if args.block == '33' else f'_b{args.block}'
  name = f'wrn_{args.depth}_{args.widen_factor}{suffix}'
  config = base(name, args.dataset)
  config.model.update(dropout=args.dropout, survival_probability=1.0, survival_decay='linear')
  config.augment.padding = 'reflect'
  config.schedule.update(
    name='piecewise', learning_rate=0.1, factor=0.2, boundaries=(0.3, 0.6, 0.8)
  )
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=5e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
