"""The paths that carry the gradient: Veit et al. 2016, arXiv 1605.06431, section 5.

`measures/path_length.py` says what is measured.
"""

from cifar_jax import cli
from cifar_jax.analysis import command


def make_parser() -> cli.Parser:
  """Makes the parser of the command."""
  parser = command.make_parser('path_length', main.__doc__)
  parser.add_argument(
    '--draws', type=cli.positive, default=10, help='number of random paths of each length'
  )
  parser.add_argument(
    '--lengths', type=cli.positive, default=40, help='largest number of lengths to measure'
  )
  parser.add_argument('--seed', type=cli.seed, default=0, help='seed of the random paths')
  return parser


def main() -> None:
  """Measures how much gradient the paths of each length carry, in trained residual nets."""
  command.run('path_length', make_parser())


if __name__ == '__main__':
  cli.run(main)
