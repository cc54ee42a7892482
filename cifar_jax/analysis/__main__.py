"""All analyses: `cifar-jax analysis NAME --workdir DIR ...`."""

import sys

from cifar_jax import cli

# For each analysis its module, and what it measures.
ANALYSES = {
  'lesion': ('cifar_jax.analysis.lesion', 'the error without blocks, and with blocks exchanged'),
  'path_length': ('cifar_jax.analysis.path_length', 'the gradient along paths of each length'),
  'branch_correlation': (
    'cifar_jax.analysis.branch_correlation', 'the correlation of the branches of Shake-Shake nets',
  ),
  'activations': ('cifar_jax.analysis.activations', 'activations and gradients by layer'),
  'landscape': ('cifar_jax.analysis.landscape', 'the loss along a line of parameters'),
  'complexity': ('cifar_jax.analysis.complexity', 'operations, parameters, memory and time'),
}  # fmt: skip


def main() -> int | None:
  """Measures trained nets; numbers and a picture go to `analysis/` in each run's directory."""
  called_by = sys.argv[0] if sys.argv[0].startswith(cli.PROGRAM) else 'python -m cifar_jax.analysis'
  return cli.dispatch(called_by, main.__doc__ or '', ANALYSES)


if __name__ == '__main__':
  cli.run(main)
