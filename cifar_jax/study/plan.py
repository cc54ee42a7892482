"""What a study runs: for each seed and entry a configuration, a directory and a command."""

import dataclasses
import pathlib
import sys
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import config as configs
from cifar_jax import experiment
from cifar_jax import workdir as workdirs
from cifar_jax.errors import InputError
from cifar_jax.study.table import Entry, Study


@dataclasses.dataclass(frozen=True)
class Run:
  """One entry with one seed.

  Attributes:
    entry: of the table.
    config: of the run.
    full_epochs: of the entry where nothing shortens it.
    workdir: of the run.
    command: what starts it.
  """

  entry: Entry
  config: ConfigDict
  full_epochs: int
  workdir: pathlib.Path
  command: list[str]


def make(
  study: Study, workdir: pathlib.Path, epochs: int | None, seeds: int, overrides: list[str]
) -> list[Run]:
  """All runs of a study, the whole table with one seed before the next seed; nothing is begun.

  Args:
    study: the table.
    workdir: of the study; a run is in `ENTRY/seedN` below it.
    epochs: of every run; None for each entry's own.
    seeds: how many: an entry's own seed and those that follow it.
    overrides: `--config.SECTION.KEY=VALUE` for all.

  Raises:
    InputError: a configuration cannot be had or is impossible, or its directory holds another run.
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
) -> Run:
  file = str(study.path.parent / entry.config)
  words = _as_words(study.overrides | entry.overrides) + overrides
  try:
    config = configs.load(file)
    configs.override(config, words)
    full_epochs = config.train.num_epochs
    changes: dict[str, Any] = {} if epochs is None else shortened(config, epochs)
    if index:
      changes['seed'] = config.seed + index
    words += _as_words(changes)
    configs.override(config, _as_words(changes))
    experiment.check(config)
    place = workdir / entry.slug / f'seed{config.seed}'
    workdirs.check(place, config)
  except InputError as error:
    raise InputError(f'{study.name}, entry {entry.label!r}: {error}') from error
  command = [sys.executable, '-m', 'cifar_jax.main', '--config', file, '--workdir', str(place)]
  return Run(entry, config, full_epochs, place, command + words)


def _as_words(changes: dict[str, Any]) -> list[str]:
  return [f'--config.{key}={value}' for key, value in changes.items()]


def shortened(config: ConfigDict, epochs: int) -> dict[str, Any]:
  """What gives a configuration fewer epochs, or more, with the shape of its schedule.

  Boundaries are fractions of the run already; what is told in epochs shrinks with it.
  """
  ratio = epochs / config.train.num_epochs
  schedule = config.schedule
  changes: dict[str, Any] = {'train.num_epochs': epochs}
  for key in ('warmup_epochs', 'first_cycle_epochs'):
    changes[f'schedule.{key}'] = schedule[key] * ratio
  changes['schedule.patience'] = max(1, round(schedule.patience * ratio))
  return changes
