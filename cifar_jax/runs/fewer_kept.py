"""A session that would keep fewer checkpoints than the sessions before it, and so delete some."""

import contextlib
import pathlib

from ml_collections import ConfigDict

from cifar_jax import input_files, json_text
from cifar_jax.errors import InputError
from cifar_jax.runs import damaged, legs


def check(directory: pathlib.Path, old: ConfigDict, config: ConfigDict) -> None:
  """Checks that no checkpoint is deleted because `checkpoint.keep_last` was left out or lowered.

  Args:
    directory: of the checkpoints, in the workdir.
    old: the configuration of the run so far.
    config: that of the session to begin.

  Raises:
    InputError: there are more checkpoints than the session would keep, and the last one kept more.
  """
  now = config.checkpoint.keep_last
  before = old.checkpoint.get('keep_last', now)
  if now >= before:
    return
  steps = damaged.steps_in(directory)
  kept = {*steps[-now:], *legs.kept_steps(directory.parent), *_best(directory, steps)}
  if deleted := [str(step) for step in steps if step not in kept]:
    raise InputError(
      f'with checkpoint.keep_last={now} these checkpoints in {directory} would be deleted: '
      f'{", ".join(deleted)}; give --config.checkpoint.keep_last={before} as before, or first move '
      'them away'
    )


def _best(directory: pathlib.Path, steps: list[int]) -> list[int]:
  """The step of the best checkpoint, as the newest one names it; `[]` if it names none."""
  with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
    run_info = json_text.parse(
      input_files.read_text(directory / str(steps[-1]) / 'run' / 'metadata')
    )
    return [run_info['best']['step']]
  return []
