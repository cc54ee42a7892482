"""Plans the runs of a study: a configuration, a directory and a command per seed and entry."""

import dataclasses
import pathlib
import sys
from typing import Any

from ml_collections import ConfigDict

from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.errors import InputError
from cifar_jax.experiment.experiment import check_config
from cifar_jax.runs.workdir import check_workdir
from cifar_jax.study.definition import Entry, Study


@dataclasses.dataclass(frozen=True)
class PlannedRun:
  """A run of one entry with one seed.

  Attributes:
    entry: row of the table.
    config: configuration of the run.
    full_epochs: number of epochs of the entry if `--epochs` does not change it.
    workdir: directory of the run.
    command: program and arguments that start the run.
  """

  entry: Entry
  config: ConfigDict
  full_epochs: int
  workdir: pathlib.Path
  command: list[str]


def make(
  study: Study, workdir: pathlib.Path, epochs: int | None, seeds: int, overrides: list[str]
) -> list[PlannedRun]:
  """Returns all runs of a study: all entries with the first seed, then with the next. Starts none.

  Args:
    study: the study.
    workdir: directory of the study; the directory of a run is `ENTRY/seedN` in it.
    epochs: number of epochs of every run; None keeps the number of each entry.
    seeds: number of runs per entry; their seeds count up from the seed of the entry. A run that
      trains several seeds at once takes as many of them.
    overrides: `--config.SECTION.KEY=VALUE` for all runs.

  Raises:
    InputError: a configuration cannot be loaded or is impossible, or a directory holds another run.
  """
  return [
    _run(study, entry, workdir, epochs, index, overrides)
    for index in range(seeds)
    for entry in study.entries
  ]


def _run(
  study: Study,
  entry: Entry,
  workdir: pathlib.Path,
  epochs: int | None,
  index: int,
  overrides: list[str],
) -> PlannedRun:
  file, colon, recipe_arguments = entry.config.partition(':')
  beside = study.path.parent / file
  recipe = f'{beside if beside.is_file() else file}{colon}{recipe_arguments}'
  options = _as_options(study.overrides | entry.overrides) + overrides
  try:
    config = loading.load(recipe)
    override(config, options)
    full_epochs = config.train.num_epochs
    changes: dict[str, Any] = {} if epochs is None else shortened(config, epochs)
    if index:
      changes['seed'] = config.seed + index * config.train.seeds
    options += _as_options(changes)
    override(config, _as_options(changes))
    check_config(config)
    run_workdir = workdir / entry.slug / f'seed{config.seed}'
    check_workdir(run_workdir, config)
  except InputError as error:
    raise InputError(f'{study.name}, entry {entry.label!r}: {error}') from error
  command = [sys.executable, '-m', 'cifar_jax.main', '--config', recipe]
  command += ['--workdir', str(run_workdir), *options]
  return PlannedRun(entry, config, full_epochs, run_workdir, command)


def _as_options(changes: dict[str, Any]) -> list[str]:
  return [f'--config.{key}={value}' for key, value in changes.items()]


def shortened(config: ConfigDict, epochs: int) -> dict[str, Any]:
  """Returns the changes that give a configuration another number of epochs.

  The learning rate schedule keeps its shape. Boundaries are fractions of the run and stay; numbers
  of epochs in the schedule scale with the run.

  Args:
    config: the configuration; not changed.
    epochs: the new number of epochs.

  Returns:
    Dotted keys of the configuration to their new values.
  """
  ratio = epochs / config.train.num_epochs
  schedule = config.schedule
  changes: dict[str, Any] = {'train.num_epochs': epochs}
  for key in ('warmup_epochs', 'first_cycle_epochs'):
    changes[f'schedule.{key}'] = schedule[key] * ratio
  # 0 lowers the rate at the first epoch without a gain, and stays; a higher number stays above 0.
  changes['schedule.patience'] = max(min(1, schedule.patience), round(schedule.patience * ratio))
  return changes
