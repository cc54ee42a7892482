"""`python -m cifar_jax.report DIR ...`: the page of a run made again, or several side by side."""

import pathlib

from cifar_jax import command
from cifar_jax.report import page


def main() -> None:
  """Writes the page of a run, finished or not, into its directory; or one page of several."""
  parser = command.Parser(prog='python -m cifar_jax.report', description=main.__doc__)
  parser.add_argument('workdir', type=pathlib.Path, nargs='+', help='of a run')
  parser.add_argument(
    '--out', type=pathlib.Path, metavar='FILE.html', help='of several runs report.html by default'
  )
  arguments = parser.parse_args()
  workdirs = arguments.workdir
  folder = workdirs[0] if len(workdirs) == 1 else pathlib.Path()
  print(page.write(workdirs, arguments.out or folder / page.NAME))


if __name__ == '__main__':
  command.run(main)
