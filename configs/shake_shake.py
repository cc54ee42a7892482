"""Shake-Shake on CIFAR-10: Gastaldi 2017, arXiv 1705.07485.

  python -m cifar_jax.main --config configs/shake_shake.py:base_width=96

Published error (table 1, Shake-Shake-Image, mean of 3 to 5 runs, last epoch) in the table below;
4.27, 3.76 and 3.58 without shaking (forward=even, backward=even). Recipe: 1800 epochs of 128
images, one cosine from 0.2 to zero, decay 1e-4. The paper trains on all 50,000 images
(`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Table 1: error in percent on CIFAR-10 by base width.
VARIANTS = {32: 3.55, 64: 2.98, 96: 2.86}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: base_width, forward, backward, level (see the model's fields), dataset, epochs."""
  arguments = configs.arguments(
    text,
    base_width=32,
    forward='shake',
    backward='shake',
    level='image',
    dataset='cifar10',
    epochs=1800,
  )
  config = configs.base(f'shake_shake_26_2x{arguments.base_width}d', arguments.dataset)
  config.model.update(forward=arguments.forward, backward=arguments.backward, level=arguments.level)
  config.schedule.update(name='cosine', learning_rate=0.2)
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
