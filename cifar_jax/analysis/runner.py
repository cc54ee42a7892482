"""Runs an analysis as a command: restores the runs, writes the results and prints the tables."""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax

from cifar_jax import cli, output_files
from cifar_jax.analysis.sample import Sample, take_sample
from cifar_jax.data.dataset import SPLITS, select_split
from cifar_jax.errors import InputError
from cifar_jax.evaluation.options import add_checkpoint, add_seed_index
from cifar_jax.evaluation.restore import restore_run
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.runs import provenance

if TYPE_CHECKING:
  from matplotlib.figure import Figure

FOLDER = 'analysis'  # folder in a run's directory


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
  """

  name: str
  model: nn.Module
  variables: dict[str, Any]
  sample: Sample
  experiment: Experiment
  workdir: pathlib.Path


def analyse(
  name: str,
  parser: cli.Parser,
  measure: Callable[[AnalysedRun, argparse.Namespace], dict[str, Any]],
  format_table: Callable[[dict[str, Any]], str],
  figure: Callable[[list[dict[str, Any]]], 'Figure'],
) -> None:
  """Applies an analysis to the runs on the command line.

  Each run gets `analysis/NAME.json` and `analysis/NAME.png`. `--picture` names one more picture,
  of all runs together, with its numbers in a JSON file of the same name.

  Args:
    name: name of the analysis.
    parser: parser with the options of this analysis; the common options are added here.
    measure: measures a run; its results are ready for JSON.
    format_table: formats the results of a run as a table.
    figure: draws the results of one run or several.

  Raises:
    InputError: a run cannot be restored or has no such images, or the picture is not a PNG file.
  """
  _add_options(parser)
  arguments, overrides = parser.parse_known_args()
  arguments.overrides = overrides
  picture = arguments.picture
  if picture and picture.suffix != '.png':
    raise InputError(f'--picture {picture} is drawn as PNG: let its name end with .png')
  all_results = []
  for workdir in arguments.workdir:
    run = open_run(workdir, arguments, overrides)
    output_files.make_folder(run.workdir / FOLDER)
    results = _results(name, run, arguments, measure)
    file = run.workdir / FOLDER / name
    _write_json(file.with_suffix('.json'), results)
    output_files.save_figure(figure([results]), file.with_suffix('.png'))
    print(f'{run.workdir} ({run.name}), {run.sample.size} {arguments.split} images')
    print(format_table(results))
    print(f'-> {file}.json, .png\n')
    all_results.append(results)
  if picture:
    output_files.save_figure(figure(all_results), picture)
    _write_json(picture.with_suffix('.json'), all_results)
    print(f'-> {picture}, {picture.with_suffix(".json")}')


def _add_options(parser: cli.Parser) -> None:
  """Adds the options that all analyses have."""
  parser.add_argument(
    '--workdir', type=pathlib.Path, nargs='+', required=True, help='directories of the runs'
  )
  add_checkpoint(parser)
  add_seed_index(parser)
  parser.add_argument('--split', choices=SPLITS, default='test')
  parser.add_argument(
    '--num-images', type=cli.positive, default=2000, help='number of images, drawn from the split'
  )
  parser.add_argument('--picture', type=pathlib.Path, help='PNG file for all runs together')


def _results(
  name: str,
  run: AnalysedRun,
  arguments: argparse.Namespace,
  measure: Callable[[AnalysedRun, argparse.Namespace], dict[str, Any]],
) -> dict[str, Any]:
  """The measurements of a run, and what was measured: run, checkpoint, images, provenance."""
  # First, because the commit may change during the analysis.
  origin = provenance.describe(run.experiment.mesh.size, f'cifar_jax.analysis.{name}')
  with jax.set_mesh(run.experiment.mesh):  # so that oneDNN's convolutions are split over it
    measurements = measure(run, arguments)
  return {
    'analysis': name,
    'model': run.name,
    'run': run.workdir.name,
    'seed': run.experiment.seeds[0],
    'checkpoint': arguments.checkpoint,
    'split': arguments.split,
    'num_images': run.sample.size,
    **measurements,
    'provenance': origin,
  }


def _write_json(path: pathlib.Path, value: Any) -> None:
  with output_files.replacing(path) as temporary:
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
  sample = take_sample(
    split, arguments.num_images, experiment.batch_size, experiment.normalize, experiment.mesh
  )
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  return AnalysedRun(
    restored.config.model.name, experiment.model, variables, sample, experiment, restored.workdir
  )
