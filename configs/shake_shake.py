"""Shake-Shake on CIFAR: Gastaldi 2017, arXiv 1705.07485.

  python -m cifar_jax.main --config configs/shake_shake.py
  python -m cifar_jax.main --config configs/shake_shake.py:base_width=32,mode=S-E-B
  python -m cifar_jax.main --config configs/shake_shake.py:net=resnext
  python -m cifar_jax.main --config configs/shake_shake.py:net=a,backward=m3
  python -m cifar_jax.main --config configs/shake_shake.py:net=tensorflow

Published error on CIFAR-10 (table 1, mean of 3 runs, of 5 at 96d; last epoch), percent:

  mode   2x32d  2x64d  2x96d        mode   2x32d  2x64d  2x96d
  E-E-B   4.27   3.76   3.58        E-S-I   4.11
  E-S-B   4.44                      S-K-I   4.09
  S-K-B   4.11                      S-E-I   3.47   3.20
  S-E-B   3.47   3.30               S-S-I   3.55   2.98   2.86
  S-S-B   3.67   3.07

and on CIFAR-100 (table 2, ResNeXt-29 2x4x64d): 16.34 E-E-B, 15.85 S-E-I. Recipe: 1800 epochs, one
cosine down to zero; on CIFAR-10 batches of 128 images, learning rate 0.2 and weight decay 1e-4, on
CIFAR-100 batches of 32 images, 0.025 and 5e-4. The paper trains on all 50,000 images
(`--config.data.validation_size=0`).

`net=tensorflow` is 26 2x32d as in sualab/tf_shake_shake and the text that goes with it: uniforms
divided by their sum, the shortcut's second path moved to the upper left, Xavier's initialisation,
and biases of 0.1 in the classifier. The text states 3.67 %, the lowest error of any epoch on the
test images; this run looks at them after each epoch too.
"""

from typing import Any

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base, one_of

# By `net`: pattern of the model's name, default width, default mode, fields of the model. `resnet`
# and `resnext` are the author's commands for CIFAR-10 and CIFAR-100. a, b and c are the nets of
# section 5, in the mode that is the best one of net a and the only shaken one of net c.
# `tensorflow` is a published re-implementation.
NETS: dict[str, tuple[str, int, str, dict[str, Any]]] = {
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
  'tensorflow': (
    'shake_shake_26_{branches}x{width}d',
    32,
    'S-S-I',
    {'coefficients': 'normalized_uniforms', 'shift': 'upper_left'}
    | {'initialization': 'xavier', 'head_bias': 0.1},
  ),
}

# The rows of table 1: forward, backward, level. Even-Even is the same net at both levels.
TABLE_1 = {
  'E-E-B': ('even', 'even', 'batch'),
  'E-S-B': ('even', 'shake', 'batch'),
  'S-K-B': ('shake', 'keep', 'batch'),
  'S-E-B': ('shake', 'even', 'batch'),
  'S-S-B': ('shake', 'shake', 'batch'),
  'E-S-I': ('even', 'shake', 'image'),
  'S-K-I': ('shake', 'keep', 'image'),
  'S-E-I': ('shake', 'even', 'image'),
  'S-S-I': ('shake', 'shake', 'image'),
}


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: net (one of `NETS`), branches, base_width, mode (one of `TABLE_1`), dataset, epochs.
      forward, backward and level (fields of the model) each replace one part of the mode. An empty
      value, or a base_width of 0, stands for the paper's choice for the net.
  """
  args = arguments(
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
  net = one_of('net', args.net, tuple(NETS))
  name, width, mode, fields = NETS[net]
  mode = one_of('mode', args.mode or mode, tuple(TABLE_1))
  forward, backward, level = TABLE_1[mode]
  config = base(
    name.format(branches=args.branches, width=args.base_width or width),
    args.dataset or ('cifar100' if net == 'resnext' else 'cifar10'),
  )
  config.model.update(
    forward=args.forward or forward,
    backward=args.backward or backward,
    level=args.level or level,
    **fields,
  )
  config.schedule.update(name='cosine', learning_rate=0.2)
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  if net == 'resnext':  # the author's README
    config.schedule.learning_rate = 0.025
    config.optimizer.weight_decay = 5e-4
    config.train.batch_size = 32
  if net == 'tensorflow':  # its `train.py` validates on the test images
    config.data.validation_size = 0
    config.train.test_each_epoch = True
  if net == 'c':  # section 5: 0.025 for one epoch, then 0.05; here the rate rises in that epoch
    config.schedule.update(learning_rate=0.05, warmup_epochs=1.0, warmup_learning_rate=0.025)
  return config
