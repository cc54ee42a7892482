"""Plain nets on CIFAR-10: He et al. 2015, arXiv 1512.03385, section 4.2.

  python -m cifar_jax.main --config configs/plain_net.py:depth=56

The residual nets without their shortcuts, trained by the same recipe: from 20 layers on, deeper
ones end with a higher training error (figure 6, left). The paper prints no number for them.
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Figure 6, left: the depths it draws; beyond 60 % error, 110 layers are not shown.
VARIANTS: dict[int, dict] = {20: {}, 32: {}, 44: {}, 56: {}}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: depth (6n + 2; or 18, 34 as on ImageNet), dataset, epochs."""
  arguments = configs.arguments(text, depth=20, dataset='cifar10', epochs=182)
  config = configs.base(f'plain{arguments.depth}', arguments.dataset)
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
