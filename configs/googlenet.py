"""GoogLeNet on CIFAR: Szegedy et al. 2014, arXiv 1409.4842.

  python -m cifar_jax.main --config configs/googlenet.py
  python -m cifar_jax.main --config configs/googlenet.py:auxiliary=true

The paper has no CIFAR results. Published error: 21.97 % on CIFAR-100 (README of
weiaicunzai/pytorch-cifar100: the epoch that is best on the test images, trained with rotations of
up to 15 degrees as well). The recipe of that repository is the Cutout paper's (arXiv 1708.04552):
200 epochs with batches of 128 images, learning rate 0.1, divided by 5 at epochs 60, 120 and 160,
one epoch of warm-up, weight decay 5e-4, Nesterov momentum, dropout of 0.4 before the classifier.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: auxiliary (whether the two auxiliary classifiers are trained too), dataset, epochs.
  """
  args = arguments(text, auxiliary=False, dataset='cifar10', epochs=200)
  config = base('googlenet', args.dataset)
  config.model.update(
    auxiliary=args.auxiliary,
    auxiliary_weight=0.3,  # section 5
    dropout=0.4,  # table 1, and models/googlenet.py of weiaicunzai/pytorch-cifar100
  )
  # conf/global_settings.py and train.py of weiaicunzai/pytorch-cifar100.
  config.schedule.update(
    name='piecewise', learning_rate=0.1, factor=0.2, boundaries=(0.3, 0.6, 0.8), warmup_epochs=1.0
  )
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=5e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
