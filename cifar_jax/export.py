"""Exports a trained net as StableHLO: `python -m cifar_jax.export --workdir DIR --out FILE`.

The file holds the net with its weights and the normalisation of its images, for CPUs, CUDA and
TPUs. A process that has JAX and flatbuffers alone, and nothing of this package, runs it on batches
of any size (docs/python.md). FILE.json names the classes and the size of the images.
"""

from cifar_jax import cli
from cifar_jax.config import help_text
from cifar_jax.errors import InputError
from cifar_jax.evaluation.options import add_checkpoint, add_seed_index


def main() -> None:
  """Reads the command line, then exports. JAX is imported once the command line is valid."""
  parser = cli.Parser('python -m cifar_jax.export', __doc__, help_text.of_finished_run)
  parser.add_argument('--workdir', type=cli.path, required=True, help='directory of a run')
  parser.add_argument(
    '--out', type=cli.path, required=True, metavar='FILE', help='is replaced, and FILE.json too'
  )
  add_checkpoint(parser)
  add_seed_index(parser)
  arguments, overrides = parser.parse_with_overrides()
  if arguments.out.is_dir():
    raise InputError(f'--out {arguments.out} is a directory: name a file')

  from cifar_jax.evaluation import export

  export.export_run(
    arguments.workdir, arguments.out, arguments.checkpoint, overrides, arguments.seed_index
  )


if __name__ == '__main__':
  cli.run(main)
