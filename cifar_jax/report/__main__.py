"""`python -m cifar_jax.report DIR ...`: writes the page on a run, or on several side by side."""

import pathlib

from cifar_jax import cli
from cifar_jax.errors import InputError


def main() -> None:
  """Writes the page on a run, finished or not, into its directory; or one page on several runs."""
  parser = cli.Parser('python -m cifar_jax.report', main.__doc__)
  parser.add_argument('workdir', type=cli.path, nargs='+', help='directory of a run')
  parser.add_argument(
    '--out', type=cli.path, metavar='FILE.html', help='default for several runs: report.html'
  )
  arguments = parser.parse_args()

  # Imports numpy, which --help does not need.
  from cifar_jax.report import page
  from cifar_jax.runs.results import CONFIG

  workdirs = arguments.workdir
  path = arguments.out or pathlib.Path(workdirs[0] if len(workdirs) == 1 else '', page.NAME)
  if not arguments.out:
    page.check_is_own(path, workdirs)
    if len(workdirs) > 1 and pathlib.Path(CONFIG).exists():
      raise InputError(f'{path} is the page of the run in this directory: give --out FILE.html')
  print(page.write(workdirs, path))


if __name__ == '__main__':
  cli.run(main)
