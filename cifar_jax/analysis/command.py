"""What the commands of the analyses share: runs opened, results written, tables printed."""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flax.linen as nn

from cifar_jax import evaluate, experiment, provenance, restore, verdict
from cifar_jax.analysis import sample as samples
from cifar_jax.command import Parser, run
from cifar_jax.errors import InputError
from cifar_jax.report import files

if TYPE_CHECKING:
  from matplotlib.figure import Figure

__all__ = ['Opened', 'Parser', 'analyse', 'positive', 'run']

FOLDER = 'analysis'


@dataclasses.dataclass(frozen=True)
class Opened:
  """A trained net and some images.

  Attributes:
    name: of the model.
    model: the Flax module.
    variables: parameters and statistics, at the checkpoint.
    sample: the images.
    parts: of the run.
    workdir: of the run.
  """

  name: str
  model: nn.Module
  variables: dict[str, Any]
  sample: samples.Sample
  parts: experiment.Experiment
  workdir: pathlib.Path


def positive(text: str) -> int:
  """The number that a text says; for `argparse`, which tells what was wrong with it."""
  number = int(text)
  if number < 1:
    raise argparse.ArgumentTypeError(f'{text} is not at least 1')
  return number


def analyse(
  name: str,
  parser: Parser,
  measure: Callable[[Opened, argparse.Namespace], dict[str, Any]],
  text: Callable[[dict[str, Any]], str],
  figure: Callable[[list[dict[str, Any]]], 'Figure'],
) -> None:
  """Carries an analysis out on the runs of the command line.

  Each run gets `analysis/NAME.json` and `analysis/NAME.png`; several get, beside that, one picture
  of all where `--picture` says, with its numbers beside it.

  Args:
    name: of the analysis.
    parser: with the options that are its own.
    measure: what is found out of a run, ready for JSON.
    text: the table of it.
    figure: draws what was found out of one or several runs.

  Raises:
    InputError: a run cannot be opened, or has no such images; the picture is to be no PNG.
  """
  parser.add_argument('--workdir', type=pathlib.Path, nargs='+', required=True, help='of the runs')
  parser.add_argument('--checkpoint', choices=restore.CHECKPOINTS, default='last')
  restore.add_seed_index(parser)
  parser.add_argument('--split', choices=evaluate.SPLITS, default='test')
  parser.add_argument('--num-images', type=positive, default=2000, help='the first of the split')
  parser.add_argument('--picture', type=pathlib.Path, help='of all runs together, a PNG')
  arguments, overrides = parser.parse_known_args()
  arguments.overrides = overrides
  if arguments.picture and arguments.picture.suffix != '.png':
    raise InputError(f'--picture {arguments.picture} is drawn as PNG: let its name end with .png')
  found = []
  for workdir in arguments.workdir:
    opened = open_run(workdir, arguments, overrides)
    folder = opened.workdir / FOLDER
    verdict.make_folder(folder)
    origin = provenance.describe(opened.parts.mesh.size, f'cifar_jax.analysis.{name}')
    told = {
      'analysis': name,
      'model': opened.name,
      'run': opened.workdir.name,
      'seed': opened.parts.seeds[0],
      'checkpoint': arguments.checkpoint,
      'split': arguments.split,
      'num_images': opened.sample.size,
      **measure(opened, arguments),
      'provenance': origin,
    }
    with files.replacing(folder / f'{name}.json') as unfinished:
      unfinished.write_text(json.dumps(told, indent=1) + '\n')
    files.save(figure([told]), folder / f'{name}.png')
    print(f'{opened.workdir} ({opened.name}), {opened.sample.size} {arguments.split} images')
    print(text(told))
    print(f'-> {folder / name}.json, .png\n')
    found.append(told)
  if arguments.picture:
    _leave_together(found, figure(found), arguments.picture)


def _leave_together(found: list[dict[str, Any]], figure: 'Figure', picture: pathlib.Path) -> None:
  files.save(figure, picture)
  numbers = picture.with_suffix('.json')
  with files.replacing(numbers) as unfinished:
    unfinished.write_text(json.dumps(found, indent=1) + '\n')
  print(f'-> {picture}, {numbers}')


def open_run(workdir: pathlib.Path, arguments: argparse.Namespace, overrides: list[str]) -> Opened:
  """A run as the options of every analysis say; raises InputError as `analyse` does."""
  restored = restore.restore(workdir, arguments.checkpoint, overrides, arguments.seed_index)
  parts, state = restored.parts, restored.state
  split = evaluate.split_of(parts.dataset, arguments.split)
  sample = samples.take(
    split, arguments.num_images, parts.plan.batch_size, parts.normalize, parts.mesh
  )
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  return Opened(
    restored.settings.model.name, parts.model, variables, sample, parts, restored.workdir
  )
