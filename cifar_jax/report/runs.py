"""Reads what a run, finished or still going, has left in its work directory.

metrics.jsonl  one JSON object a line: `step`, `epoch`, `split`, `loss` and `accuracy` (in [0, 1]),
               in training records also `learning_rate` and `images_per_second`. Validation is
               recorded once an epoch, training every few steps as averages since the last record.
               Of a run of several seeds these are means over the seeds; `deviation` (the sample
               standard deviation) and `each` hold the same names.
result.json    what the run came to; written when it ends.
"""

import json
import math
import os
import pathlib
from typing import Any

from cifar_jax.errors import InputError

METRICS = 'metrics.jsonl'

Record = dict[str, Any]
Curve = tuple[list[float], list[float]]  # epochs and values


def read_records(workdir: str | os.PathLike[str]) -> list[Record]:
  """The records of `metrics.jsonl`, in the order they were written.

  The last line is left out if it is no whole record: it is being written, or the run was killed as
  it was.

  Raises:
    InputError: the file is missing, or a line before the last is no record.
  """
  path = pathlib.Path(workdir) / METRICS
  text = _read_text(path, 'give the --workdir of a run that has begun to train')
  lines = text.rstrip().split('\n')
  records = [_parse_record(line) for line in lines]
  if records[-1] is None:
    records.pop()
  if None in records:
    raise InputError(f'{path}:{records.index(None) + 1} is no record of metrics: remove that line')
  return [record for record in records if record is not None]


def read_result(workdir: str | os.PathLike[str]) -> dict[str, Any]:
  """What a finished run came to, from `result.json`.

  Raises:
    InputError: the file is missing, as it is until the run ends, or is not a JSON object.
  """
  path = pathlib.Path(workdir) / 'result.json'
  return read_object(path, 'let the run finish: start it again with the same --workdir')


def read_config(workdir: str | os.PathLike[str]) -> dict[str, Any]:
  """What a run was started with, from `config.json`: a dictionary for each section, and `seed`.

  Raises:
    InputError: the file is missing or is not a JSON object.
  """
  path = pathlib.Path(workdir) / 'config.json'
  return read_object(path, 'give the --workdir of a run')


def series(records: list[Record], split: str, key: str) -> Curve:
  """One curve: the epochs of a split's records that hold the key, and the key's values there."""
  points = [(r['epoch'], r[key]) for r in records if r['split'] == split and key in r]
  return [epoch for epoch, _ in points], [value for _, value in points]


def last_epoch_error(records: list[Record]) -> float | None:
  """The training error in percent over the steps of the last epoch; None without any.

  It is of the net as it was at each step, on augmented images: what the loop records.
  """
  train = [record for record in records if record['split'] == 'train']
  if not train:
    return None
  begins = [{'step': 0, 'epoch': 0.0}, *train]  # each record is the mean since the one before it
  last = math.floor(begins[-2]['epoch'])  # no record spans two epochs
  weighted = [
    (record['step'] - begin['step'], 100 * (1 - record['accuracy']))
    for begin, record in zip(begins, train, strict=False)
    if math.floor(begin['epoch']) == last
  ]
  return sum(steps * error for steps, error in weighted) / sum(steps for steps, _ in weighted)


def _read_text(path: pathlib.Path, remedy: str) -> str:
  try:
    return path.read_text(encoding='utf-8')
  except FileNotFoundError:
    raise InputError(f'there is no {path}: {remedy}') from None
  except (OSError, UnicodeDecodeError) as error:
    raise InputError(f'{path} cannot be read ({error}): restore it from a copy') from None


def read_object(path: pathlib.Path, remedy: str) -> dict[str, Any]:
  """The JSON object in a file; raises InputError, with the remedy, where there is none."""
  try:
    value = json.loads(_read_text(path, remedy))
  except json.JSONDecodeError as error:
    raise InputError(f'{path} is not JSON ({error}): mend it or run again') from None
  if not isinstance(value, dict):
    raise InputError(f'{path} does not hold a JSON object: mend it or run again')
  return value


def _parse_record(line: str) -> Record | None:
  """The record in a line, or None where there is none."""
  try:
    value = json.loads(line)
  except json.JSONDecodeError:
    return None
  return value if isinstance(value, dict) and {'step', 'epoch', 'split'} <= value.keys() else None
