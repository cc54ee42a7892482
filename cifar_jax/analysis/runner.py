"""Runs an analysis: restores the runs, writes the results and prints the tables."""

import argparse
import dataclasses
import importlib
import json
import pathlib
import zlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from cifar_jax import input_files, json_text, output_files
from cifar_jax.analysis.sample import Sample, take_sample
from cifar_jax.augment import views
from cifar_jax.data.dataset import select_split
from cifar_jax.errors import InputError
from cifar_jax.evaluation.restore import restore_run
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.models import own_net
from cifar_jax.runs import distinct_names, provenance
from cifar_jax.runtime import console

FOLDER = 'analysis'  # folder in a run's directory
# The arguments that say which run is measured, and where the results go.
_OF_FILES = ('workdir', 'picture', 'overrides', 'checkpoint', 'split', 'seed_index', 'to')


@dataclasses.dataclass(frozen=True)
class AnalysedRun:
  """A trained net, and the images that it is analysed on.

  Attributes:
    name: name of the model.
    model: the Flax module, a `models.classifier.Classifier`.
    variables: parameters and statistics at the checkpoint.
    sample: the images.
    experiment: the experiment of the run.
    workdir: directory of the run.
    step: number of training steps of the checkpoint.
    images: the data set, shape and CRC-32 of the split that the sample is of.
    is_one_of_several_seeds: whether the run trained several seeds at once.
  """

  name: str
  model: nn.Module
  variables: dict[str, Any]
  sample: Sample
  experiment: Experiment
  workdir: pathlib.Path
  step: int
  images: str
  is_one_of_several_seeds: bool


def analyse(name: str, arguments: argparse.Namespace, overrides: list[str]) -> None:
  """Applies an analysis to runs.

  The functions `measure` and `format_table` are those of `measures/NAME.py`, and `figure` that of
  `report/figures/NAME.py`. Each run gets `analysis/NAME.json` and `analysis/NAME.png`; of another
  checkpoint, split or seed, such as `NAME_validation_best_seed1.json`. The picture that the
  arguments name shows all runs together, with its numbers in a JSON file of the same name.

  Args:
    name: name of the analysis.
    arguments: the options of the command.
    overrides: `--config.SECTION.KEY=VALUE`.

  Raises:
    InputError: a run cannot be restored or has no such images.
  """
  arguments.overrides = overrides
  all_results = []
  for workdir in arguments.workdir:
    output_files.make_folder(workdir / FOLDER)
    results, table, figure = measure_run(name, workdir, arguments)
    file = workdir / FOLDER / _file_stem(results)
    _keep_earlier(file, results)
    _write_json(file.with_suffix('.json'), results, outdated=file.with_suffix('.png'))
    output_files.save_figure(figure([results]), file.with_suffix('.png'))
    images = f'{results["num_images"]} {arguments.split} images'
    print(f'{workdir} ({results["model"]}), {images}\n{table}\n-> {file}.json, .png\n')
    all_results.append(results)
  if picture := arguments.picture:
    _check_same_images(all_results, picture)
    names = distinct_names.of_directories(arguments.workdir)
    all_results = [{**of_run, 'run': run} for of_run, run in zip(all_results, names, strict=True)]
    _write_json(picture.with_suffix('.json'), all_results, outdated=picture)
    output_files.save_figure(figure(all_results), picture)
    print(f'-> {picture}, {picture.with_suffix(".json")}')


def _file_stem(results: dict[str, Any]) -> str:
  """The beginning of file names, different for all that can be measured of a run."""
  words = [results['analysis']]
  if other := results.get('to_workdir'):
    words.append(f'to_{results["to"]}_{zlib.crc32(other.encode()):08x}')
  if results['split'] != 'test':
    words.append(results['split'])
  if results['checkpoint'] != 'last':
    words.append(results['checkpoint'])
  if results['is_one_of_several_seeds']:
    words.append(f'seed{results["seed"]}')
  return '_'.join(words)


def _keep_earlier(file: pathlib.Path, results: dict[str, Any]) -> None:
  """Renames the files of an analysis with other options to `NAME-2.json`, `NAME-2.png` and so on.

  Args:
    file: of the new one, without its ending.
    results: of the new one.
  """
  numbers, picture = file.with_suffix('.json'), file.with_suffix('.png')
  try:
    earlier = json_text.parse(input_files.read_text(numbers)).get('options')
  except (OSError, ValueError, AttributeError):
    return
  if earlier not in (None, results['options']):
    print(
      f'the earlier one, with other options, is now {output_files.set_aside([numbers, picture])}'
    )


def _check_same_images(all_results: list[dict[str, Any]], picture: pathlib.Path) -> None:
  """Raises InputError unless one picture may show all results."""
  (first, *others) = all_results
  if other := next((results for results in others if results['images'] != first['images']), None):
    raise InputError(
      f'{first["run"]} and {other["run"]} were measured on different images ({first["images"]}, '
      f'{other["images"]}), so {picture} is not drawn; each has its own picture'
    )


def measure_run(
  name: str, workdir: pathlib.Path, arguments: argparse.Namespace
) -> tuple[dict[str, Any], str, Callable[[list[dict[str, Any]]], Any]]:
  """Measures a run.

  Args:
    name: name of the analysis.
    workdir: directory of the run.
    arguments: the options of the command, and `overrides`.

  Returns:
    The results, their table, and the function that draws the results of one or several runs.

  Raises:
    InputError: the run cannot be restored or has no such images.
  """
  analysis: Any = importlib.import_module(f'cifar_jax.analysis.measures.{name}')
  figure = importlib.import_module(f'cifar_jax.report.figures.{name}').figure
  run = open_run(workdir, arguments, arguments.overrides)
  results = _results(name, run, arguments, analysis.measure)
  return results, analysis.format_table(results), figure


def _results(
  name: str,
  run: AnalysedRun,
  arguments: argparse.Namespace,
  measure: Callable[[AnalysedRun, argparse.Namespace], dict[str, Any]],
) -> dict[str, Any]:
  """The measurements of a run, and what was measured: run, checkpoint, images, provenance."""
  # First, because the commit may change during the analysis.
  origin = provenance.describe(run.experiment.mesh.size, f'cifar_jax.analysis.{name}')
  console.logger.info('%s: measuring %s on %d images', run.workdir, name, run.sample.size)
  with jax.set_mesh(run.experiment.mesh):  # so that oneDNN's convolutions are split over it
    measurements = measure(run, arguments)
  return {
    'analysis': name,
    'model': run.name,
    'run': run.workdir.resolve().name,
    'seed': run.experiment.seeds[0],
    'is_one_of_several_seeds': run.is_one_of_several_seeds,
    'checkpoint': arguments.checkpoint,
    'step': run.step,
    'split': arguments.split,
    'images': run.images,
    'num_images': run.sample.size,
    'options': {
      key: str(value) if isinstance(value, pathlib.Path) else value
      for key, value in vars(arguments).items()
      if key not in _OF_FILES
    },
    **measurements,
    'provenance': origin | own_net.origin(run.experiment.own_net),
  }


def _write_json(path: pathlib.Path, value: Any, outdated: pathlib.Path) -> None:
  with output_files.replacing(path, [outdated]) as temporary:
    temporary.write_text(json.dumps(value, indent=1) + '\n')


def open_run(
  workdir: pathlib.Path, arguments: argparse.Namespace, overrides: list[str]
) -> AnalysedRun:
  """Restores a run as the common options say.

  Args:
    workdir: directory of the run.
    arguments: the parsed options.
    overrides: `--config.SECTION.KEY=VALUE`.

  Raises:
    InputError: the run cannot be restored, or has no such images.
  """
  restored = restore_run(workdir, arguments.checkpoint, overrides, arguments.seed_index)
  experiment, state = restored.experiment, restored.state
  split = select_split(experiment.dataset, arguments.split)

  def whole_images(images: jax.Array) -> jax.Array:
    return views.whole(experiment.normalize(images), experiment.augmentation)

  sample = take_sample(
    split, arguments.num_images, experiment.batch_size, whole_images, experiment.mesh
  )
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  return AnalysedRun(
    restored.config.model.name,
    experiment.model,
    variables,
    sample,
    experiment,
    restored.workdir,
    restored.step,
    f'{experiment.dataset.name} {"x".join(map(str, split.images.shape))} {split.images_crc32:08x}',
    restored.is_one_of_several_seeds,
  )
