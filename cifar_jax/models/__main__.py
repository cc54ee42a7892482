"""`python -m cifar_jax.models`: the cost of each model for one image, and its published error.

Everything is counted in traces; no weight is computed. With the NAME of a model, the command prints
the name, shape and size of each of its parameters instead.
"""

import json
import pathlib

from cifar_jax import cli, models, output_files
from cifar_jax.errors import InputError
from cifar_jax.models.cost.columns import SORTS
from cifar_jax.models.published_errors import DATASETS
from cifar_jax.runtime.console import logger

STANDARD_OUTPUT = pathlib.Path('-')  # as a value of --json


def main() -> None:
  """Prints the table of models; `--json` also writes it, and `--plot` draws it."""
  parser = cli.Parser('python -m cifar_jax.models', __doc__)
  parser.add_argument('name', nargs='?', metavar='NAME', help='print the parameters of this model')
  parser.add_argument('--family', choices=models.FAMILY_NAMES, help='list only this family')
  parser.add_argument(
    '--sort', choices=SORTS, help='column to sort by, rising; historical order by default'
  )
  parser.add_argument(
    '--dataset',
    choices=DATASETS,
    default='cifar10',
    help='data set whose errors are sorted by and drawn',
  )
  parser.add_argument(
    '--json', type=cli.path, metavar='FILE', help='write the rows to FILE; - prints only them'
  )
  parser.add_argument(
    '--plot', type=cli.path, metavar='FILE.png', help='draw cost against published error'
  )
  parser.add_argument(
    '--module', default='', help='FILE.py or PACKAGE.MODULE with the own family that NAME is of'
  )
  arguments = parser.parse_args()
  if arguments.module and not arguments.name:
    raise InputError('--module needs the NAME of a model of its families')
  if arguments.name:
    of_table = (arguments.family, arguments.sort, arguments.json, arguments.plot)
    if any(of_table) or arguments.dataset != parser.get_default('dataset'):
      raise InputError(f'{arguments.name} is one model: leave out the options of the table')
    _print_parameters(arguments.name, arguments.module)
    return
  for path in filter(None, (arguments.json, arguments.plot)):
    if path.is_dir() or not path.parent.is_dir():
      raise InputError(f'{path} is a directory, or its directory does not exist: name a file')
  if arguments.plot and arguments.plot.suffix != '.png':
    raise InputError(f'--plot {arguments.plot} is drawn as PNG: the name must end with .png')

  from cifar_jax.models.cost import table
  from cifar_jax.report.figures import model_table

  names = models.FAMILIES[arguments.family].names if arguments.family else models.NAMES
  published = [known.error(arguments.dataset) for known in map(models.published, names) if known]
  if arguments.plot and not any(published):
    raise InputError(f'none of these models has a published error on {arguments.dataset}')

  seconds = table.expected_seconds(names)
  logger.info('counting %d models (about %.0f s)', len(names), seconds)
  table.only_traces()
  rows = table.rows(names)
  if arguments.plot:
    model_table.plot(rows, arguments.dataset, DATASETS[arguments.dataset], arguments.plot)
  if arguments.sort:
    rows = table.sort(rows, arguments.sort, arguments.dataset)
  as_json = json.dumps(rows, indent=2)
  print(as_json if arguments.json == STANDARD_OUTPUT else table.text(rows))
  if arguments.json not in (None, STANDARD_OUTPUT):
    with output_files.replacing(arguments.json) as temporary:
      temporary.write_text(f'{as_json}\n', encoding='utf-8')


def _print_parameters(name: str, module: str) -> None:
  """Prints the parameters of a model, perhaps of an own module; InputError for unknown names."""
  from clu import parameter_overview

  from cifar_jax.models.cost import table

  table.only_traces()
  model = models.create(name, num_classes=table.num_classes(name), module=module)
  params = models.abstract_variables(model)['params']
  print(parameter_overview.get_parameter_overview(params, include_stats=False))


if __name__ == '__main__':
  cli.run(main)
