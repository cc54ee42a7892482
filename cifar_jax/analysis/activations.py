"""Activations and gradients in a net by layer, before and after training.

`measures/activations.py` says what is measured.
"""

from cifar_jax import cli
from cifar_jax.analysis import command


def main() -> None:
  """Measures activations and gradients by layer, before and after training."""
  parser = command.make_parser('activations', main.__doc__)
  command.run('activations', parser)


if __name__ == '__main__':
  cli.run(main)
