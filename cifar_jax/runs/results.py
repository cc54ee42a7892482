"""Reads the records and results in the workdir of a run, finished or not.

metrics.jsonl  one JSON object per line: `step`, `epoch`, `split`, `loss` and `accuracy` (in
               [0, 1]); training records also have `learning_rate` and `images_per_second`.
               Training is recorded every few steps as means since the last record, validation
               once per epoch, the test split at the end or, with `train.test_each_epoch`, once per
               epoch. For a run with several seeds these are means over the seeds; `deviation` (the
               sample standard deviation) and `each` (the value of each seed) hold the same names.
result.json    the results of the run; written when it ends.
config.json    the configuration of the run; written when it starts.
"""

import math
import os
import pathlib
import statistics
from typing import Any

from cifar_jax import input_files, json_text
from cifar_jax.errors import InputError
from cifar_jax.runs import contents
from cifar_jax.runtime.console import logger

METRICS, RESULT, CONFIG = 'metrics.jsonl', 'result.json', 'config.json'
# Of the records: those of 100 seeds at each of 100,000 steps have half of it.
_MAX_RECORD_BYTES = 1 << 30

Record = dict[str, Any]
Curve = tuple[list[float], list[float]]  # epochs and values


def read_records(workdir: str | os.PathLike[str]) -> list[Record]:
  """Returns the records of `metrics.jsonl`, in the order they were written.

  The last line is left out if it is not a complete record: the run is writing it, or was killed
  while it wrote the line.

  Raises:
    InputError: the file is missing, or a line before the last is not a record.
  """
  path = pathlib.Path(workdir) / METRICS
  text = _read_text(path, 'give the --workdir of a run that has begun to train', _MAX_RECORD_BYTES)
  lines = text.rstrip().split('\n')
  records: list[Record] = []
  num_seeds: set[int] = set()
  for number, line in enumerate(lines, start=1):
    try:
      record = json_text.parse(line)
    except ValueError:
      record = None
    wrong = contents.wrong_value(record, contents.RECORD)
    if not wrong:
      num_seeds |= contents.num_seeds(record)
      wrong = 'each' if len(num_seeds) > 1 else ''
    if wrong:
      if number == len(lines):
        break
      raise InputError(
        f'{path}:{number} is not a record of metrics ({wrong} is missing or wrong): '
        'remove that line'
      )
    records.append(contents.without_nulls(record, contents.RECORD))
  return records


def read_result(workdir: str | os.PathLike[str]) -> dict[str, Any]:
  """Returns the results of a finished run, from `result.json`, without values that are null.

  Raises:
    InputError: the file is missing, as before the end of the run, or is not a JSON object with the
      values of a result.
  """
  path = pathlib.Path(workdir) / RESULT
  result = read_object(path, 'let the run finish: start it again with the same --workdir')
  if wrong := contents.wrong_in_result(result):
    raise InputError(f'{path}: {wrong} is missing or wrong: delete the file and run again')
  return contents.without_nulls(result, contents.RESULT)


def read_config_dict(workdir: str | os.PathLike[str]) -> dict[str, Any]:
  """Returns the configuration of a run, from `config.json`.

  Unlike `runs.workdir.read_config`, accepts keys that this version does not know, and needs no JAX.

  Returns:
    A dictionary for each section, and `seed`.

  Raises:
    InputError: the file is missing, or is not a JSON object with the sections that a page shows.
  """
  path = pathlib.Path(workdir) / CONFIG
  config = read_object(path, 'give the --workdir of a run')
  if wrong := contents.wrong_value(config, contents.CONFIG):
    raise InputError(f'{path}: {wrong} is missing or wrong: restore it from a copy')
  return config


def series(records: list[Record], split: str, key: str) -> Curve:
  """Returns a curve: the epochs and the values of a key in all records of a split that have it."""
  of_split = [record for record in records if record['split'] == split and key in record]
  return [record['epoch'] for record in of_split], [record[key] for record in of_split]


def scalars(record: Record) -> dict[str, float]:
  """The numbers of a record under names such as `train/loss`; for several seeds, the means."""
  return {
    f'{record["split"]}/{name}': value
    for name, value in record.items()
    if isinstance(value, float) and name != 'epoch'
  }


def training_curve(records: list[Record], key: str) -> Curve:
  """Returns the curve of a key in training, whose points are all means over many steps.

  A record ends with its epoch, even after a single step. A record of less than half as many steps
  as the longest is therefore averaged with the one before it in the same epoch.

  Args:
    records: records of a run, as `read_records` returns them.
    key: `loss` or `accuracy`.
  """
  points: list[tuple[int, int, float, float]] = []  # number of the epoch, steps, epoch, mean
  windows = _windows(records)
  longest = max((steps for _, steps, _ in windows), default=0)
  for number, steps, record in windows:
    value = record[key]
    if points and points[-1][0] == number and 2 * steps < longest:
      _, before, _, mean = points.pop()
      value = (before * mean + steps * value) / (before + steps)
      steps += before
    points.append((number, steps, record['epoch'], value))
  return [epoch for *_, epoch, _ in points], [value for *_, value in points]


def records_of_seeds(records: list[Record]) -> list[list[Record]]:
  """Returns the records of each seed of a run; of a single seed, the records themselves."""
  counts = (len(record['each']['accuracy']) for record in records if 'each' in record)
  num_seeds = max(counts, default=1)
  if num_seeds == 1:
    return [records]
  return [[record | _of_seed(record, i) for record in records] for i in range(num_seeds)]


def _of_seed(record: Record, index: int) -> Record:
  """The measures of one seed in a record, which has the means; none in a record of one seed."""
  each = record.get('each', {})
  return {key: values[index] for key, values in each.items() if isinstance(values, list)}


def last_epoch_mean(records: list[Record], key: str) -> float | None:
  """Returns the mean of a key over the training steps of the last epoch.

  The value of each step is that of the net at that step, on augmented images.

  Args:
    records: records of a run, as `read_records` returns them.
    key: `loss` or `accuracy`.

  Returns:
    The mean, or None without training records.
  """
  windows = _windows(records)
  last = [(steps, record[key]) for number, steps, record in windows if number == windows[-1][0]]
  return sum(n * value for n, value in last) / sum(n for n, _ in last) if last else None


def _windows(records: list[Record]) -> list[tuple[int, int, Record]]:
  """The training records, each with the number of its epoch, from 0, and of its steps.

  A record is the mean over the steps since the record before it. No record spans two epochs. A
  record without steps of its own, of a file that was merged from two, is left out.
  """
  windows, before = [], {'step': 0, 'epoch': 0.0}
  for record in records:
    if record['split'] == 'train' and record['step'] > before['step']:
      windows.append((math.floor(before['epoch']), record['step'] - before['step'], record))
      before = record
  return windows


def mean_and_deviation(values: list[float]) -> tuple[float | None, float | None]:
  """Returns the mean and the sample standard deviation (with n - 1) of some values.

  Without values the mean is None, below two values the deviation.
  """
  mean = statistics.fmean(values) if values else None
  return mean, statistics.stdev(values) if len(values) > 1 else None


def best_by_test(records: list[Record]) -> dict[str, Any]:
  """Returns the epoch that is best on the test images, the first of equal ones.

  The figure is chosen on the images that it is measured on. Some published texts state no other.

  Args:
    records: records of a run that looks at the test images after each epoch.

  Returns:
    The `step`, the `epoch` and, as `test`, the measures, as in the result of a run. For several
    seeds one epoch is chosen for all, by their mean.
  """
  tests = [record for record in records if record['split'] == 'test']
  best = max(tests, key=lambda record: record['accuracy'])
  measures = {name: best[name] for name in best if name not in ('step', 'epoch', 'split')}
  return {'step': best['step'], 'epoch': int(best['epoch']), 'test': measures}


def warn_if_older(workdir: pathlib.Path, step: int) -> None:
  """Logs a warning if a run finished at a later step than that of its newest intact checkpoint."""
  try:
    end = read_result(workdir)['num_steps']
  except (InputError, KeyError):  # it has not finished
    return
  if step < end:
    logger.warning(
      '%s finished at step %d, and its newest intact checkpoint is of step %d', workdir, end, step
    )


def _read_text(path: pathlib.Path, remedy: str, max_bytes: int = input_files.MAX_BYTES) -> str:
  try:
    return input_files.read_text(path, max_bytes)
  except FileNotFoundError:
    raise InputError(f'there is no {path}: {remedy}') from None
  except (OSError, ValueError) as error:
    raise InputError(f'{path} cannot be read ({error}): restore it from a copy') from None


def read_object(path: pathlib.Path, remedy: str) -> dict[str, Any]:
  """Reads a JSON object from a file.

  Args:
    path: file to read.
    remedy: advice for the reader of the message if the file is missing.

  Raises:
    InputError: the file is missing, cannot be read, or does not hold a JSON object.
  """
  try:
    value = json_text.parse(_read_text(path, remedy))
  except InputError:
    raise
  except ValueError as error:
    raise InputError(f'{path} is not JSON ({error}): repair it or run again') from None
  if not isinstance(value, dict):
    raise InputError(f'{path} does not hold a JSON object: repair it or run again')
  return value
