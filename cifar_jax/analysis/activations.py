"""Activations and gradients in a net by layer, before and after training.

`measures/activations.py` says what is measured.
"""

from cifar_jax import cli
from cifar_jax.analysis import command


def make_parser() -> cli.Parser:
  """Makes the parser of the command."""
  return command.make_parser('activations', main.__doc__)


def main() -> None:
  """Measures activations and gradients by layer, before and after training."""
  command.run('activations', make_parser())


if __name__ == '__main__':
  cli.run(main)
