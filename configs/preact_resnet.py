"""Pre-activation ResNet on CIFAR: He et al. 2016, arXiv 1603.05027.

  python -m cifar_jax.main --config configs/preact_resnet.py:depth=164

Published error (tables 3 and 4): 6.37 % on CIFAR-10 (110 layers), 5.46 / 24.33 on CIFAR-10 / 100
(164), 4.92 / 22.71 (1001; 4.62 on CIFAR-10 at batch 64). The recipe is ResNet's, with its low rate
at the beginning, which the paper keeps (for 400 iterations; here a rise over one epoch) although
it found it unnecessary; momentum 0.9 is Nesterov's here, as in the authors' code. The other orders
of figure 4 (`order=a` to `d`): 6.61, 8.17, 7.84, 6.71 % with 110 layers (table 2).
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Tables 3 and 4: error in percent.
VARIANTS = {
  110: {'cifar10': 6.37},
  164: {'cifar10': 5.46, 'cifar100': 24.33},
  1001: {'cifar10': 4.92, 'cifar100': 22.71},
}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: depth (164 and 1001 are bottlenecks, others 6n + 2), order, dataset, epochs."""
  arguments = configs.arguments(text, depth=164, order='e', dataset='cifar10', epochs=182)
  order = configs.one_of('order', arguments.order, ('a', 'b', 'c', 'd', 'e'))
  suffix = '' if order == 'e' else f'_order_{order}'
  config = configs.base(f'preact_resnet{arguments.depth}{suffix}', arguments.dataset)
  config.model.update(shortcut='project', survival_probability=1.0, survival_decay='linear')
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.update(warmup_epochs=1.0, warmup_learning_rate=0.01)
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
