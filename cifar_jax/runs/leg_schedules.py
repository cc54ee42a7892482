"""What the schedules of a run's legs have in common: which go on, and which are only scaled."""

import math
from typing import Any

from cifar_jax.config.base import base

# Schedules that do not end with the run, so that they can go on unchanged.
GOING_ON = ('constant', 'sgdr', 'plateau')
# The keys of the section `schedule` that each schedule reads, beside those that all read.
_KEYS = {
  'piecewise': ('boundaries', 'factor'),
  'sgdr': ('first_cycle_epochs', 'cycle_multiplier'),
  'plateau': ('monitor', 'factor', 'patience', 'threshold', 'smallest_drop'),
  'triangular': ('start_factor', 'peak', 'end_factor'),
}
_COMMON_KEYS = ('name', 'learning_rate', 'warmup_epochs', 'warmup_learning_rate')
_IN_EPOCHS = ('warmup_epochs', 'first_cycle_epochs')


def read(schedule: dict[str, Any]) -> dict[str, Any]:
  """The keys that a schedule reads, as JSON has them; those of a later version by default."""
  filled = base('').schedule.to_dict() | schedule
  keys = (*_COMMON_KEYS, *_KEYS.get(filled['name'], ()))
  return {key: list(filled[key]) if key == 'boundaries' else filled[key] for key in keys}


def is_scaled(old: dict[str, Any], new: dict[str, Any], ratio: float) -> bool:
  """Whether two schedules differ in their numbers of epochs alone, scaled as studies scale them.

  Args:
    old: what `read` returned for the earlier one.
    new: the same for the later one.
    ratio: the later number of epochs of the run, divided by the earlier one.
  """
  changed = [key for key in old if old[key] != new.get(key)]
  return bool(changed) and all(
    key in _IN_EPOCHS and math.isclose(new[key], old[key] * ratio) for key in changed
  )
