"""Pre-activation ResNet on CIFAR: He et al. 2016, arXiv 1603.05027.

  python -m cifar_jax.main --config configs/preact_resnet.py:depth=164

Published error on CIFAR-10 / CIFAR-100 (tables 3 and 4): 6.37 % (110 layers, CIFAR-10 alone),
5.46 / 24.33 (164), 4.92 / 22.71 (1001; 4.62 on CIFAR-10 with batches of 64). The other orders of
figure 4 (`order=a` to `d`): 6.61, 8.17, 7.84 and 6.71 % with 110 layers (table 2). The recipe is
ResNet's, with its low learning rate at the start. The paper keeps that rate for 400 steps, although
it found it unnecessary; here the rate rises over one epoch. Momentum 0.9 is Nesterov's, as in the
authors' code.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base, one_of


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: depth (164 and 1001 have bottlenecks; others are 6n + 2), order (a to e), dataset, epochs.
  """
  args = arguments(text, depth=164, order='e', dataset='cifar10', epochs=182)
  order = one_of('order', args.order, ('a', 'b', 'c', 'd', 'e'))
  suffix = '' if order == 'e' else f'_order_{order}'
  config = base(f'preact_resnet{args.depth}{suffix}', args.dataset)
  config.model.update(shortcut='project', survival_probability=1.0, survival_decay='linear')
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.update(warmup_epochs=1.0, warmup_learning_rate=0.01)
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
