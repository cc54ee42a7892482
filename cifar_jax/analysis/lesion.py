"""Lesions of a trained net: Veit et al. 2016, arXiv 1605.06431, section 4.

`measures/lesion.py` says what is measured.
"""

from cifar_jax import cli
from cifar_jax.analysis import command


def make_parser() -> cli.Parser:
  """Makes the parser of the command."""
  parser = command.make_parser('lesion', main.__doc__)
  parser.add_argument(
    '--draws', type=cli.positive, default=10, help='number of random choices per lesion'
  )
  parser.add_argument('--seed', type=cli.seed, default=0, help='seed of the random lesions')
  return parser


def main() -> None:
  """Deletes and permutes the blocks of trained nets, and measures the error."""
  command.run('lesion', make_parser())


if __name__ == '__main__':
  cli.run(main)
