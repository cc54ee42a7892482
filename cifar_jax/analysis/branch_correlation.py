"""Correlation of the branches of Shake-Shake nets: Gastaldi 2017, arXiv 1705.07485, section 4.

`measures/branch_correlation.py` says what is measured.
"""

from cifar_jax import cli
from cifar_jax.analysis import command


def main() -> None:
  """Correlates the two branches of trained Shake-Shake nets, block by block and layer by layer."""
  parser = command.make_parser('branch_correlation', main.__doc__)
  command.run('branch_correlation', parser)


if __name__ == '__main__':
  cli.run(main)
