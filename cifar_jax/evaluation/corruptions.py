"""Errors on CIFAR-10-C and CIFAR-100-C: each corruption at each severity, and their mean."""

import json
import pathlib
from typing import Any

import numpy as np

from cifar_jax import output_files
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import corrupted, pixels
from cifar_jax.data.dataset import Split
from cifar_jax.data.official import OFFICIAL
from cifar_jax.errors import InputError
from cifar_jax.evaluation import other_data
from cifar_jax.evaluation.ensemble import make_predictor
from cifar_jax.evaluation.restore import Restored
from cifar_jax.runtime import console, memory


def measure(members: list[Restored], settings: DataSettings, tta: str) -> dict[str, Any]:
  """Measures the errors of a run, or of an ensemble.

  Args:
    members: one run, or several whose probabilities are averaged.
    settings: the section `data` of the corrupted images.
    tta: one of `config.augmentation.VIEWS`.

  Returns:
    Values for JSON: `error_percent`, for each corruption a list by severity;
    `mean_corruption_error_percent`, the mean over the severities and corruptions of the benchmark,
    which is not divided by the errors of another net (Hendrycks et al. 2020, arXiv 1912.02781,
    section 4); and `missing`, the corruptions of the benchmark that are not there, without which
    the mean is None.

  Raises:
    InputError: the run was not trained on these classes or on images of this size, or a file is
      missing or damaged.
  """
  files = corrupted.find(settings)
  _check_classes(members[0], settings)
  predict = make_predictor(members, tta)
  num_classes = members[0].experiment.dataset.num_classes
  errors: dict[str, list[float]] = {}
  console.logger.info('compiling, then evaluating %d corruptions', len(files))
  for name, path in console.bar(files.items(), 'corruptions', 'files', len(files)):
    errors[name] = []
    for split in corrupted.read(path, num_classes):
      if size := settings.image_size:
        memory.check_images_fit(len(split), size, size)
        images = pixels.resize(split.images, size, settings.resize)
        split = Split(images, split.labels)
      other_data.check_size(members[0], settings, split)
      predicted = np.argmax(predict(split), axis=1)
      errors[name].append(100 * float(np.mean(predicted != split.labels)))
  missing = [name for name in corrupted.BENCHMARK if name not in errors]
  of_benchmark = [errors[name] for name in corrupted.BENCHMARK if name in errors]
  return {
    'error_percent': errors,
    'mean_corruption_error_percent': None if missing else float(np.mean(of_benchmark)),
    'missing': missing,
  }


def lines(results: dict[str, Any]) -> list[str]:
  """The lines of the table: corruptions by severity; `*` marks those outside the benchmark."""
  errors, heading = results['error_percent'], 'error in %, by severity'
  width = max(len(heading), *(len(name) + 1 for name in errors))
  columns = [*map(str, corrupted.SEVERITIES), 'mean']
  table = [f'  {heading:{width}}' + ''.join(f'{column:>8}' for column in columns)]
  for name, row in errors.items():
    marked = name if name in corrupted.BENCHMARK else f'{name}*'
    values = ''.join(f'{value:8.2f}' for value in [*row, float(np.mean(row))])
    table.append(f'  {marked:{width}}{values}')
  mean = results['mean_corruption_error_percent']
  if mean is None:
    table.append(f'  no mean corruption error: {", ".join(results["missing"])} are missing')
  else:
    table.append(f'  mean corruption error {mean:.2f} %')
  if errors.keys() - set(corrupted.BENCHMARK):
    table.append('  * not in the mean')
  return table


def write(path: pathlib.Path, results: dict[str, Any]) -> None:
  """Writes the values as JSON; raises InputError if that is impossible."""
  output_files.make_folder(path.parent)
  output_files.check_not_of_a_run(path)
  output_files.write_text(path, json.dumps(results, indent=2) + '\n')


def _check_classes(member: Restored, settings: DataSettings) -> None:
  """Raises InputError unless labels mean the same to a run and to the corrupted images."""
  original, set_name = corrupted.NAMES[settings.name]
  same_names = member.experiment.dataset.class_names == OFFICIAL[original].class_names
  if member.config.data.name != original and not same_names:
    raise InputError(
      f'{member.workdir} was trained on {member.config.data.name}, and {set_name} has the classes '
      f'of {original}'
    )
