"""The command: `python -m cifar_jax.main --config configs/NAME.py[:ARGUMENTS] --workdir DIR`.

Trains a model, evaluates it and writes a report. Run again, the command resumes where it stopped.
Every key of the configuration can be set: `--config.optimizer.weight_decay=5e-4`.
"""

import pathlib

from cifar_jax import cli
from cifar_jax.config import load, override
from cifar_jax.runtime import xla_flags


def main() -> int:
  """Reads the command line, then runs. JAX is imported only once the command line is valid."""
  parser = cli.Parser(prog='python -m cifar_jax.main', description=__doc__)
  parser.add_argument(
    '--config', required=True, help='configs/NAME.py or configs/NAME.py:ARGUMENTS'
  )
  parser.add_argument('--workdir', type=pathlib.Path, help='of the run; by default runs/NAME')
  distributed = parser.add_argument_group('several processes', 'Slurm, Open MPI and GKE need none.')
  distributed.add_argument('--coordinator', default='', metavar='HOST:PORT', help='or auto')
  distributed.add_argument('--num_processes', type=int, default=0, metavar='N')
  distributed.add_argument('--process_id', type=int, default=-1, metavar='I', help='from 0')
  arguments, overrides = parser.parse_known_args()

  config = load(arguments.config)
  override(config, overrides)
  if config.train.deterministic:
    xla_flags.make_deterministic()
  workdir = arguments.workdir or pathlib.Path('runs', config.model.name)

  from cifar_jax.runtime import processes
  from cifar_jax.runtime.console import to_console
  from cifar_jax.train import session

  to_console()
  processes.start(arguments.coordinator, arguments.num_processes, arguments.process_id)
  return session.run(config, workdir)


if __name__ == '__main__':
  cli.run(main)
