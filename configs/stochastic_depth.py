"""ResNet with stochastic depth on CIFAR: Huang et al. 2016, arXiv 1603.09382.

  python -m cifar_jax.main --config configs/stochastic_depth.py:depth=110

Published error: 5.23 % on CIFAR-10 and 24.58 % on CIFAR-100 with 110 layers (6.41 and 27.22 % for
the authors' net of constant depth), as quoted by Huang et al. 2017, arXiv 1608.06993, table 2; the
paper itself has 5.25 and 24.98 %. With 1202 layers 4.91 % on CIFAR-10. Recipe (section 4): the
survival probability falls linearly to 0.5; 500 epochs, learning rate 0.1, divided by 10 after one
half and three quarters of the epochs; 45,000 images for training and 5,000 for validation. The net
of 1202 layers has 300 epochs, the first ten of them at 0.01; here the rate rises to 0.1 over them.
The shortcuts pool where ResNet's option A subsamples, as in the authors' code.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base, one_of

EPOCHS = {1202: 300}  # by depth, where they are not given; 500 for other depths
WARMUP_EPOCHS = {1202: 10.0}  # by depth: the low rate at the start; 0 for other depths


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: depth (6n + 2), survival (probability of the last block), decay (linear, uniform),
      dataset, epochs (300 by default with 1202 layers).
  """
  args = arguments(text, depth=110, survival=0.5, decay='linear', dataset='cifar10', epochs=500)
  config = base(f'resnet{args.depth}_stochastic_depth', args.dataset)
  config.model.survival_probability = args.survival
  config.model.survival_decay = one_of('decay', args.decay, ('linear', 'uniform'))
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.warmup_epochs = WARMUP_EPOCHS.get(args.depth, 0.0)
  config.schedule.warmup_learning_rate = 0.01
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  epochs = args.epochs if 'epochs=' in text else EPOCHS.get(args.depth, args.epochs)
  config.train.update(num_epochs=epochs, batch_size=128)
  return config
