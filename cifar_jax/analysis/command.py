"""What the commands of all analyses share: their options, and the start of the analysis."""

from cifar_jax import cli, output_files
from cifar_jax.config import help_text
from cifar_jax.config.dataset import SPLITS
from cifar_jax.errors import InputError
from cifar_jax.evaluation.options import add_checkpoint, add_seed_index


def make_parser(name: str, description: str | None) -> cli.Parser:
  """Makes the parser of an analysis, with the options that all have.

  Args:
    name: name of the analysis.
    description: what it measures.
  """
  parser = cli.Parser(
    f'python -m cifar_jax.analysis.{name}', description, help_text.of_finished_run
  )
  parser.add_argument(
    '--workdir', type=cli.path, nargs='+', required=True, help='directories of the runs'
  )
  add_checkpoint(parser)
  add_seed_index(parser)
  parser.add_argument('--split', choices=SPLITS, default='test')
  parser.add_argument(
    '--num-images', type=cli.positive, default=2000, help='number of images, drawn from the split'
  )
  parser.add_argument(
    '--picture', type=cli.path, metavar='FILE.png',
    help='for all runs together; FILE.json with its numbers is written too',
  )  # fmt: skip
  return parser


def run(name: str, parser: cli.Parser) -> None:
  """Runs an analysis as the command line says; JAX is imported once that is valid.

  Args:
    name: name of the analysis, a file in `measures/`.
    parser: from `make_parser`, with the options of this analysis.

  Raises:
    InputError: the command line is wrong, a run cannot be restored or has no such images.
  """
  arguments, overrides = parser.parse_with_overrides()
  picture = arguments.picture
  if picture and picture.suffix != '.png':
    raise InputError(f'--picture {picture} is drawn as PNG: let its name end with .png')
  if picture and (picture.is_dir() or not picture.parent.is_dir()):
    raise InputError(f'--picture {picture} must name a file in a directory that exists')
  if picture:
    output_files.check_is_own(picture.with_suffix('.json'), 'analysis', 'model')

  from cifar_jax.analysis import runner

  runner.analyse(name, arguments, overrides)
