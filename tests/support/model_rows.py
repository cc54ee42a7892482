"""Rows of the table of models without a trace."""

from cifar_jax import models
from cifar_jax.models.cost.table import Row


def fake_row(name: str) -> Row:
  """A row with invented costs, which grow with the model's position in the table."""
  position = 1 + models.NAMES.index(name)
  known = models.published(name)
  return {
    'name': name,
    'family': models.family_of(name),
    'num_classes': 10,
    'image_size': 32,
    'num_params': 400_000 * position,
    'multiply_adds': 10_000_000 * position**2,
    'forward_bytes': 10_000 * position,
    'training_bytes': 1_000_000 * (1000 - position),
    'depth': 7 + position % 5,
    'published': known and known._asdict(),
  }
