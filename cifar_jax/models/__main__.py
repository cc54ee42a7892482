"""`python -m cifar_jax.models`: the cost of each model for one image, and its published error.

Everything is counted in traces; no weight is computed.
"""

import json
import pathlib

from cifar_jax import cli, models, output_files
from cifar_jax.errors import InputError
from cifar_jax.models.cost import table
from cifar_jax.models.published import DATASETS
from cifar_jax.report.figures import model_table


def main() -> None:
  """Prints the table of models; `--json` also writes it, and `--plot` draws it."""
  parser = cli.Parser(prog='python -m cifar_jax.models', description=__doc__)
  parser.add_argument('--family', choices=models.FAMILIES, help='list only this family')
  parser.add_argument(
    '--sort', choices=table.SORTS, help='column to sort by, rising; historical order by default'
  )
  parser.add_argument(
    '--dataset',
    choices=DATASETS,
    default='cifar10',
    help='data set whose errors are sorted by and drawn',
  )
  parser.add_argument('--json', metavar='FILE', help='write the rows to FILE; - prints only them')
  parser.add_argument('--plot', metavar='FILE.png', help='draw cost against published error')
  arguments = parser.parse_args()
  for path in filter(None, (arguments.json, arguments.plot)):
    if pathlib.Path(path).is_dir() or not pathlib.Path(path).parent.is_dir():
      raise InputError(f'{path} is a directory, or its directory does not exist: name a file')
  if arguments.plot and not arguments.plot.endswith('.png'):
    raise InputError(f'--plot {arguments.plot} is drawn as PNG: the name must end with .png')

  names = models.FAMILIES[arguments.family].NAMES if arguments.family else models.NAMES
  published = [known.error(arguments.dataset) for known in map(models.published, names) if known]
  if arguments.plot and not any(published):
    raise InputError(f'none of these models has a published error on {arguments.dataset}')

  table.only_traces()
  rows = table.rows(names)
  if arguments.plot:
    model_table.plot(rows, arguments.dataset, DATASETS[arguments.dataset], arguments.plot)
  if arguments.sort:
    rows = table.sort(rows, arguments.sort, arguments.dataset)
  as_json = json.dumps(rows, indent=2)
  print(as_json if arguments.json == '-' else table.text(rows))
  if arguments.json not in (None, '-'):
    with output_files.replacing(pathlib.Path(arguments.json)) as temporary:
      temporary.write_text(f'{as_json}\n', encoding='utf-8')


if __name__ == '__main__':
  cli.run(main)
