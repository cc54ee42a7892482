"""The command: `python -m cifar_jax.main --config configs/NAME.py[:ARGUMENTS] --workdir DIR`.

Trains, evaluates and reports; run again, it goes on where it stopped. Every key of the
configuration can be set: `--config.optimizer.weight_decay=5e-4`.
"""

import pathlib

from cifar_jax import backend, command


def main() -> int:
  """Reads the command line, then runs; JAX is imported only after the command line is sound."""
  parser = command.Parser(prog='python -m cifar_jax.main', description=__doc__)
  parser.add_argument(
    '--config', required=True, help='configs/NAME.py or configs/NAME.py:ARGUMENTS'
  )
  parser.add_argument('--workdir', type=pathlib.Path, help='of the run; by default runs/NAME')
  several = parser.add_argument_group('several processes', 'Slurm, Open MPI and GKE need none.')
  several.add_argument('--coordinator', default='', metavar='HOST:PORT', help='or auto')
  several.add_argument('--num_processes', type=int, default=0, metavar='N')
  several.add_argument('--process_id', type=int, default=-1, metavar='I', help='from 0')
  arguments, overrides = parser.parse_known_args()

  from cifar_jax import config as configs

  config = configs.load(arguments.config)
  configs.override(config, overrides)
  if config.train.deterministic:
    backend.make_deterministic()
  workdir = arguments.workdir or pathlib.Path('runs', config.model.name)

  from cifar_jax import processes, progress, train

  progress.to_console()
  processes.start(arguments.coordinator, arguments.num_processes, arguments.process_id)
  return train.run(config, workdir)


if __name__ == '__main__':
  command.run(main)
