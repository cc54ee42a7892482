"""The cost of accuracy: operations, parameters, memory and time of trained nets, side by side.

`measures/complexity.py` says what is measured.
"""

from cifar_jax import cli
from cifar_jax.analysis import command


def make_parser() -> cli.Parser:
  """Makes the parser of the command."""
  return command.make_parser('complexity', main.__doc__)


def main() -> None:
  """Measures operations, parameters, memory and time of trained nets."""
  command.run('complexity', make_parser())


if __name__ == '__main__':
  cli.run(main)
