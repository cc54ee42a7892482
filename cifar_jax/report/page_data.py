"""Reads what a page shows of a run: configuration, results, records, pictures and JSON files."""

import base64
import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from cifar_jax import input_files, json_text
from cifar_jax.report import summary
from cifar_jax.runs import contents, distinct_names
from cifar_jax.runs.results import (
  METRICS,
  RESULT,
  Record,
  last_epoch_mean,
  read_config_dict,
  read_records,
  read_result,
)
from cifar_jax.runtime.console import logger

_OF_TRAINING = ('images_per_class', 'validation_size')  # keys of `data` that keep the test images
OTHER_CODE = 'by other code than that of the run'
# The ends of the names, without `.json`, of files that `thumbnails` writes.
THUMBNAILS = ('_mistakes', 'own_pictures')


@dataclasses.dataclass(frozen=True)
class Run:
  """A run, finished or not.

  Attributes:
    name: name of the run's directory; with parents where runs side by side share it.
    workdir: directory of the run.
    config: content of `config.json`: a dictionary for each section, and `seed`.
    result: content of `result.json`; empty until the run ends.
    records: records of `metrics.jsonl`; empty until the first record is written.
  """

  name: str
  workdir: pathlib.Path
  config: dict[str, Any]
  result: dict[str, Any]
  records: list[Record]

  @property
  def inputs(self) -> dict[str, tuple[str, str]]:
    """What the run read: of each input, what the configuration says of it, and its SHA-256.

    The inputs are `data`, its `test images`, `initial weights`, `own net` and this package's
    `code`, of which the commit is said. Earlier versions, and runs that have not ended, lack some.
    """
    data, init = self.config['data'], self.result.get('init', {})
    settings = {key: value for key, value in data.items() if key != 'data_dir'}
    of_test = {key: value for key, value in settings.items() if key not in _OF_TRAINING}
    inputs = {
      'data': (json.dumps(settings, sort_keys=True), self.result.get('data_sha256')),
      'test images': (json.dumps(of_test, sort_keys=True), self.result.get('test_sha256')),
      'initial weights': (init.get('source', ''), init.get('sha256')),
      'own net': (self.config['model'].get('module', ''), self.result.get('own_net')),
      'code': (str(self.result.get('commit')), self.result.get('code')),
    }
    return {name: (said, sha256) for name, (said, sha256) in inputs.items() if sha256}

  @property
  def epoch(self) -> float:
    """The number of epochs trained so far."""
    epochs = (record['epoch'] for record in self.records)
    return self.result.get('num_epochs') or max(epochs, default=0.0)

  @property
  def published(self) -> dict[str, Any] | None:
    """The `error_percent` and `source` that a paper states for the model, or None."""
    return self.result.get('published')

  @property
  def num_seen(self) -> int:
    """The number of test images that the weights which the run began with have seen."""
    return summary.num_seen(self.result)

  @property
  def test_error(self) -> float | None:
    """The test error in percent at the last epoch; None before the run ends."""
    return self.error('test', 'accuracy')

  @property
  def train_error(self) -> float | None:
    """The training error in percent over the last epoch, on augmented images; None if unknown."""
    accuracy = last_epoch_mean(self.records, 'accuracy')
    return None if accuracy is None else 100 * (1 - accuracy)

  @property
  def train_errors(self) -> list[float]:
    """As `train_error`, of each seed; `[]` if unknown."""
    if 'seeds' not in self.result:
      return [] if self.train_error is None else [self.train_error]
    of_all = [record for record in self.records if 'each' in record]
    means = (
      last_epoch_mean([r | {'accuracy': r['each']['accuracy'][i]} for r in of_all], 'accuracy')
      for i in range(len(self.result['seeds']))
    )
    return [100 * (1 - mean) for mean in means if mean is not None]

  @property
  def errors_of_seeds(self) -> dict[int, float]:
    """The test error in percent of each seed at the last epoch; empty before the run ends."""
    if self.test_error is None:
      return {}
    if 'seeds' not in self.result:
      return {self.config['seed']: self.test_error}
    accuracies = self.result['test']['each']['accuracy']
    errors = (100 * (1 - accuracy) for accuracy in accuracies)
    return dict(zip(self.result['seeds'], errors, strict=True))

  def error(self, split: str, measure: str) -> float | None:
    """Returns 100 % minus an accuracy of the result; None before the run ends.

    Args:
      split: name of the split, such as `test`.
      measure: `accuracy` or `top5_accuracy`.
    """
    value = self.result.get(split, {}).get(measure)
    return None if value is None else 100 * (1 - value)


def read(workdir: str | os.PathLike[str]) -> Run:
  """Reads a run.

  Raises:
    InputError: the directory holds no run, or one of its files cannot be read.
  """
  workdir = pathlib.Path(workdir)
  return Run(
    name=workdir.resolve().name,
    workdir=workdir,
    config=read_config_dict(workdir),
    result=read_result(workdir) if (workdir / RESULT).exists() else {},
    records=read_records(workdir) if (workdir / METRICS).exists() else [],
  )


def read_side_by_side(workdirs: Sequence[str | os.PathLike[str]]) -> list[Run]:
  """Reads several runs and gives each a name of its own.

  Raises:
    InputError: as `read`.
  """
  runs = [read(workdir) for workdir in workdirs]
  names = distinct_names.of_directories([run.workdir for run in runs])
  return [dataclasses.replace(run, name=name) for run, name in zip(runs, names, strict=True)]


def pictures(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the PNG files of a folder by their stems, sorted; empty if there is no folder."""
  return {path.stem: path for path in sorted(folder.glob('*.png'))}


def objects(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Returns the JSON objects of a folder by the stems of their files.

  Files that cannot be read are left out with a warning; files without an object, with an empty
  one, or with thumbnails are passed over.
  """
  paths = [path for path in sorted(folder.glob('*.json')) if not path.stem.endswith(THUMBNAILS)]
  values = {path.stem: parsed(path) for path in paths}
  return {name: value for name, value in values.items() if value and isinstance(value, dict)}


def parsed(path: pathlib.Path) -> Any:
  """Returns the JSON value in a file; None, after a warning, if it cannot be read."""
  try:
    return json_text.parse(input_files.read_text(path))
  except (OSError, ValueError) as error:  # a picture can be shown without its numbers
    leave_out(path, f'it cannot be read ({" ".join(str(error).split())[:200]})')
    return None


def leave_out(path: pathlib.Path | str, reason: str) -> None:
  """Warns that the page is made without a file; the reason says what is wrong with it."""
  logger.warning('%s is left out of the page: %s', path, reason)


def is_of_other_code(origin: dict[str, Any], result: dict[str, Any]) -> bool:
  """Whether something was computed by other code than the result of a run.

  Args:
    origin: its digests, `code` of this package and `own_net` of a net of the user's own; earlier
      versions did not write all of them.
    result: content of `result.json`, with the digests of all sessions; empty before the run ends.
  """
  digests = ((origin.get(key), result.get(key)) for key in ('code', 'own_net'))
  return any(
    bool(digest) and isinstance(of_sessions, str) and digest != of_sessions.split(', ')[-1]
    for digest, of_sessions in digests
  )


def settings(content: dict[str, Any]) -> str:
  """Returns in one line what an analysis was measured on: seed, checkpoint, step, images, code.

  Args:
    content: of its JSON file. The line is empty if they are not stated.
  """
  split, checkpoint, number = (content.get(key) for key in ('split', 'checkpoint', 'num_images'))
  step = f' (step {content["step"]})' if 'step' in content else ''
  phrases = [f'seed {content["seed"]}'] if content.get('is_one_of_several_seeds') else []
  phrases += [f'{checkpoint} checkpoint{step}'] if checkpoint else []
  data = f' of {content["images"].partition(" ")[0]}' if 'images' in content else ''
  phrases += [f'{number} {split} images{data}'] if split and number else []
  phrases += [f'on the way to {content["to"]}'] if content.get('to') else []
  phrases += [OTHER_CODE] if content.get(OTHER_CODE) else []
  return ', '.join(phrases)


def of_same_images(contents: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
  """Returns the contents of analyses in groups, each of the same images; in order."""
  groups: dict[Any, list[dict[str, Any]]] = {}
  for content in contents:
    groups.setdefault(str(content.get('images')), []).append(content)
  return list(groups.values())


def data_url(png: bytes) -> str:
  """Returns a `data:` URL with a PNG in it."""
  return f'{contents.PNG_URL}{base64.b64encode(png).decode("ascii")}'
