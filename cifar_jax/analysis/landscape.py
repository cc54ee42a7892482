"""The loss along a line in the space of the parameters: around a trained net, or between two.

`measures/landscape.py` says what is measured.
"""

from cifar_jax import cli
from cifar_jax.analysis import command


def make_parser() -> cli.Parser:
  """Makes the parser of the command."""
  parser = command.make_parser('landscape', main.__doc__)
  parser.add_argument('--to', type=cli.path, help='another run of the same model')
  parser.add_argument(
    '--points', type=cli.positive, default=21, help='number of points on the line'
  )
  parser.add_argument('--seed', type=cli.seed, default=0, help='seed of the random direction')
  return parser


def main() -> None:
  """Measures the loss along a random direction, or between two runs."""
  command.run('landscape', make_parser())


if __name__ == '__main__':
  cli.run(main)
