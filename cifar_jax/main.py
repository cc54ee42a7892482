"""The command: `python -m cifar_jax.main --config RECIPE[:ARGUMENTS] --workdir DIR`.

Trains a model, evaluates it and writes a report. Run again, the command resumes where it stopped. A
recipe is one of the package, by its name (`resnet:depth=20`) or its path in a clone
(`configs/resnet.py:depth=20`), or a file of your own. Every key of the configuration can be set:
`--config.optimizer.weight_decay=5e-4`. Options of JAX, such as `--jax_debug_nans`, are passed on.
"""

import pathlib
import sys

from cifar_jax import cli
from cifar_jax.config import help_text, load, override
from cifar_jax.runtime import xla_flags


def main() -> int:
  """Reads the command line, then runs. JAX is imported only once the command line is valid."""
  parser = cli.Parser(
    'python -m cifar_jax.main', __doc__, lambda: help_text.of_recipe(sys.argv[1:])
  )
  parser.add_argument(
    '--config', required=True, metavar='RECIPE[:ARGUMENTS]',
    help='with --help: shows the arguments of the recipe',
  )  # fmt: skip
  parser.add_argument('--workdir', type=cli.path, help='of the run; by default runs/MODEL')
  distributed = parser.add_argument_group('several processes', 'Slurm, Open MPI and GKE need none.')
  distributed.add_argument('--coordinator', default='', metavar='HOST:PORT', help='or auto')
  distributed.add_argument('--num_processes', type=int, default=0, metavar='N')
  distributed.add_argument('--process_id', type=int, default=-1, metavar='I', help='from 0')
  arguments, overrides = parser.parse_with_overrides()

  config = load(arguments.config)
  override(config, overrides)
  if config.train.deterministic:
    xla_flags.make_deterministic()
  workdir = arguments.workdir or pathlib.Path('runs', config.model.name)

  from cifar_jax.runtime import processes
  from cifar_jax.training import session

  processes.start(arguments.coordinator, arguments.num_processes, arguments.process_id)
  return session.run(config, workdir)


if __name__ == '__main__':
  cli.run(main)
