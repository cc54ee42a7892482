"""GoogLeNet on CIFAR: Szegedy et al. 2014, arXiv 1409.4842.

  python -m cifar_jax.main --config configs/googlenet.py
  python -m cifar_jax.main --config configs/googlenet.py:auxiliary=true

The paper has no CIFAR results. Published error: 21.97 on CIFAR-100 by weiaicunzai/pytorch-cifar100
(best epoch on the test images, rotations of up to 15 degrees besides). Its recipe, which is that of
the Cutout paper (arXiv 1708.04552): 200 epochs of 128 images, rate 0.1, a fifth at epochs 60, 120
and 160, one epoch of warm-up, decay 5e-4, Nesterov momentum, dropout of 0.4 before the classifier.
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# README of weiaicunzai/pytorch-cifar100: error in percent.
VARIANTS = {'googlenet': {'cifar100': 21.97}}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: auxiliary (whether to train with the two auxiliary classifiers), dataset, epochs."""
  arguments = configs.arguments(text, auxiliary=False, dataset='cifar10', epochs=200)
  config = configs.base('googlenet', arguments.dataset)
  config.model.update(
    auxiliary=arguments.auxiliary,
    auxiliary_weight=0.3,  # section 5
    dropout=0.4,  # table 1, and models/googlenet.py of the repository above
  )
  # conf/global_settings.py and train.py of the repository above.
  config.schedule.update(
    name='piecewise', learning_rate=0.1, factor=0.2, boundaries=(0.3, 0.6, 0.8), warmup_epochs=1.0
  )
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=5e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
