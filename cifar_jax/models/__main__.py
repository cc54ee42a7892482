"""`python -m cifar_jax.models`: what each model costs for one image, and its published error.

Everything is counted from traces; no weight is ever made.
"""

import json
import pathlib

from cifar_jax import command, models
from cifar_jax.errors import InputError
from cifar_jax.models import table
from cifar_jax.report import model_table


def main() -> None:
  """Prints the table of models; writes and draws it where asked to."""
  parser = command.Parser(prog='python -m cifar_jax.models', description=__doc__)
  parser.add_argument('--family', choices=table.FAMILIES, help='show only this one')
  parser.add_argument('--sort', choices=table.SORTS, help='rising; by default as history went')
  parser.add_argument(
    '--dataset', choices=table.DATASETS, default='cifar10', help='whose errors to sort by and draw'
  )
  parser.add_argument('--json', metavar='FILE', help='write the rows there; - to print only them')
  parser.add_argument('--plot', metavar='FILE.png', help='draw cost against published error')
  arguments = parser.parse_args()
  for path in filter(None, (arguments.json, arguments.plot)):
    if pathlib.Path(path).is_dir() or not pathlib.Path(path).parent.is_dir():
      raise InputError(f'{path} is a directory, or in one that is not there: name a file')
  if arguments.plot and not arguments.plot.endswith('.png'):
    raise InputError(f'--plot {arguments.plot} is drawn as PNG: let its name end with .png')

  names = table.FAMILIES[arguments.family].NAMES if arguments.family else models.NAMES
  known = [getattr(table.published(name), arguments.dataset, None) for name in names]
  if arguments.plot and known.count(None) == len(known):
    raise InputError(f'none of these models has a published error on {arguments.dataset}')

  table.only_traces()
  rows = table.rows(names)
  if arguments.plot:
    model_table.plot(rows, arguments.dataset, arguments.plot)
  if arguments.sort:
    rows = table.sort(rows, arguments.sort, arguments.dataset)
  as_json = json.dumps(rows, indent=2)
  print(as_json if arguments.json == '-' else table.text(rows))
  if arguments.json not in (None, '-'):
    try:
      pathlib.Path(arguments.json).write_text(f'{as_json}\n', encoding='utf-8')
    except OSError as error:
      raise InputError(f'cannot write {arguments.json}: {error.strerror}') from error


if __name__ == '__main__':
  command.run(main)
