"""Plain nets on CIFAR-10: He et al. 2015, arXiv 1512.03385, section 4.2.

  python -m cifar_jax.main --config configs/plain_net.py:depth=56

Residual nets without their shortcuts, trained by the same recipe. From 20 layers on, a deeper plain
net ends with a higher training error (figure 6, left). The paper draws the errors of 20, 32, 44 and
56 layers and prints no number; the net of 110 layers is not drawn, because its error is above 60 %.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: depth (6n + 2; or 18 and 34 as on ImageNet), dataset, epochs.
  """
  args = arguments(text, depth=20, dataset='cifar10', epochs=182)
  config = base(f'plain{args.depth}', args.dataset)
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
