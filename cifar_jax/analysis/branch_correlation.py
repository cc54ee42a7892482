"""Correlation of the branches of Shake-Shake nets: Gastaldi 2017, arXiv 1705.07485, section 4.

`measures/branch_correlation.py` says what is measured.
"""

from cifar_jax import cli
from cifar_jax.analysis import command


def make_parser() -> cli.Parser:
  """Makes the parser of the command."""
  return command.make_parser('branch_correlation', main.__doc__)


def main() -> None:
  """Correlates the two branches of trained Shake-Shake nets, block by block and layer by layer."""
  command.run('branch_correlation', make_parser())


if __name__ == '__main__':
  cli.run(main)
