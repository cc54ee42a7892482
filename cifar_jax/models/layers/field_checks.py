"""Checks of a model's fields, which raise InputError with what would be right."""

from collections.abc import Iterable

from cifar_jax.errors import InputError


def check_one_of(field: str, value: str, known: Iterable[str]) -> None:
  """Raises InputError unless a model's field has one of its known values."""
  if value not in known:
    raise InputError(f'model.{field} is {value!r}; it must be one of {", ".join(known)}')


def check_fraction(field: str, value: float) -> None:
  """Raises InputError unless a model's field, such as a dropout rate, is in [0, 1)."""
  if not 0.0 <= value < 1.0:
    raise InputError(f'model.{field} is {value}; it must be at least 0 and below 1')


def blocks_per_stage(
  net: str, depth: int, layers_per_block: int, other_layers: int, num_stages: int = 3
) -> int:
  """The number of blocks of each stage, all stages being equally long.

  Args:
    net: name of the family, for the message.
    depth: number of weighted layers of the net.
    layers_per_block: weighted layers of a block's branch.
    other_layers: weighted layers outside the blocks.
    num_stages: number of stages.

  Raises:
    InputError: no whole number of blocks gives this depth.
  """
  step = num_stages * layers_per_block
  if depth < step + other_layers or (depth - other_layers) % step:
    below = max(step + other_layers, depth - (depth - other_layers) % step)
    raise InputError(
      f'a {net} has {step}n + {other_layers} layers, not {depth}; '
      f'the nearest are {below} and {below + step}'
    )
  return (depth - other_layers) // step
