"""All commands: `cifar-jax COMMAND ...`, or `python -m cifar_jax COMMAND ...`.

`cifar-jax train ...` is the same as `python -m cifar_jax.main ...`; each other command has the name
of its module.
"""

import importlib.metadata
import sys

from cifar_jax import cli

DESCRIPTION = 'The convolutional networks that conquered CIFAR-10, in JAX and Flax.'
# For each command its module, and what it does.
COMMANDS = {
  'train': ('cifar_jax.main', 'train a net, evaluate it and write a report; again: resume'),
  'evaluate': ('cifar_jax.evaluate', 'accuracy, calibration, confusions and mistakes of a run'),
  'predict': ('cifar_jax.predict', 'classify image files'),
  'compare': ('cifar_jax.compare', 'compare the errors of runs and prediction files'),
  'range_test': ('cifar_jax.range_test', 'find a learning rate: the loss while the rate rises'),
  'models': ('cifar_jax.models.__main__', 'list the models with their cost and published error'),
  'convert': ('cifar_jax.convert.__main__', 'convert weights from and to PyTorch'),
  'export': ('cifar_jax.export', 'write a trained net as StableHLO, which runs with JAX alone'),
  'augment': ('cifar_jax.augment.__main__', 'draw images before and after each augmentation'),
  'study': ('cifar_jax.study.__main__', "train all nets of a paper's table"),
  'report': ('cifar_jax.report.__main__', 'write the page on a run, or on several'),
  'analysis': ('cifar_jax.analysis.__main__', 'lesions, path lengths, activations and more'),
}


def main() -> int | None:
  """Runs the command that the command line names, or lists the commands."""
  if sys.argv[1:] == ['--version']:
    print(importlib.metadata.version('cifar_jax'))
    return 0
  return cli.dispatch(cli.PROGRAM, DESCRIPTION, COMMANDS)


def run() -> None:
  """The console script `cifar-jax`."""
  cli.run(main)


if __name__ == '__main__':
  run()
