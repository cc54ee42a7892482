"""Shake-Shake on CIFAR: Gastaldi 2017, arXiv 1705.07485.

  python -m cifar_jax.main --config configs/shake_shake.py
  python -m cifar_jax.main --config configs/shake_shake.py:base_width=32,mode=S-E-B
  python -m cifar_jax.main --config configs/shake_shake.py:net=resnext
  python -m cifar_jax.main --config configs/shake_shake.py:net=a,backward=m3

Published error on CIFAR-10 (table 1, mean of 3 runs, of 5 at 96d; last epoch), percent:

  mode   2x32d  2x64d  2x96d        mode   2x32d  2x64d  2x96d
  E-E-B   4.27   3.76   3.58        E-S-I   4.11
  E-S-B   4.44                      S-K-I   4.09
  S-K-B   4.11                      S-E-I   3.47   3.20
  S-E-B   3.47   3.30               S-S-I   3.55   2.98   2.86
  S-S-B   3.67   3.07

and on CIFAR-100 (table 2, ResNeXt-29 2x4x64d): 16.34 E-E-B, 15.85 S-E-I. Recipe: 1800 epochs of 128
images, one cosine from 0.2 to zero, decay 1e-4; on CIFAR-100 of 32 images, from 0.025, decay 5e-4.
The paper trains on all 50,000 images (`--config.data.validation_size=0`).
"""

from typing import Any

from ml_collections import ConfigDict

from cifar_jax import config as configs
from cifar_jax.models.shake_coefficients import TABLE_1

# By `net`: its name, the width and the mode where none is given, the model's fields. The first two
# are the author's commands for each data set; a, b and c are the nets of section 5, in the mode
# that is the best of a and the only shaken one of c.
VARIANTS: dict[str, tuple[str, int, str, dict[str, Any]]] = {
  'resnet': ('shake_shake_26_{branches}x{width}d', 96, 'S-S-I', {}),
  'resnext': ('shake_shake_resnext_29_{branches}x4x{width}d', 64, 'S-E-I', {}),
  'a': ('shake_shake_26_{branches}x{width}d', 32, 'S-E-I', {'skip': False}),
  'b': ('shake_shake_26_{branches}x{width}d', 32, 'S-E-I', {'skip': False, 'branch_convs': 1}),
  'c': (
    'shake_shake_14_{branches}x{width}d',
    32,
    'S-E-I',
    {'skip': False, 'norm': False, 'alpha_range': (0.4, 0.6)},
  ),
}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: net, branches, base_width, mode or forward, backward, level, dataset, epochs.

  `net` is one of `VARIANTS`, `mode` a row of table 1; forward, backward and level (see the model's
  fields) each change one part of it. Empty or 0 means what the paper has for the net.
  """
  arguments = configs.arguments(
    text,
    net='resnet',
    branches=2,
    base_width=0,
    mode='',
    forward='',
    backward='',
    level='',
    dataset='',
    epochs=1800,
  )
  net = configs.one_of('net', arguments.net, tuple(VARIANTS))
  name, width, mode, fields = VARIANTS[net]
  mode = configs.one_of('mode', arguments.mode or mode, tuple(TABLE_1))
  forward, backward, level = TABLE_1[mode]
  config = configs.base(
    name.format(branches=arguments.branches, width=arguments.base_width or width),
    arguments.dataset or ('cifar100' if net == 'resnext' else 'cifar10'),
  )
  config.model.update(
    forward=arguments.forward or forward,
    backward=arguments.backward or backward,
    level=arguments.level or level,
    **fields,
  )
  config.schedule.update(name='cosine', learning_rate=0.2)
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  if net == 'resnext':  # the author's README
    config.schedule.learning_rate = 0.025
    config.optimizer.weight_decay = 5e-4
    config.train.batch_size = 32
  if net == 'c':  # section 5: 0.025 for one epoch, then 0.05; here it rises during that epoch
    config.schedule.update(learning_rate=0.05, warmup_epochs=1.0, warmup_learning_rate=0.025)
  return config
