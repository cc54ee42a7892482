"""Runs from Python: `train` one, `load_run` one from its directory, look at it.

  import cifar_jax
  run = cifar_jax.train('resnet:depth=8,dataset=shapes', epochs=1, workdir='runs/shapes')
  run.test['accuracy']
  run.curves()
  run.predict('cat.jpg')
  run.lesion(num_images=500)

Pictures are shown where they are the last value of a notebook's cell.
"""

import functools
import importlib
import os
import pathlib
import threading
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np
from ml_collections import ConfigDict

from cifar_jax import paths
from cifar_jax.analysis import runner
from cifar_jax.config import load, override
from cifar_jax.errors import InputError
from cifar_jax.evaluation import predict, scorecard
from cifar_jax.evaluation.predictions import GroundTruth
from cifar_jax.evaluation.restore import Restored, restore_net, restore_run
from cifar_jax.picture import Analysis, Picture
from cifar_jax.report import summary
from cifar_jax.report.figures import curves
from cifar_jax.runs.results import Record, read_object, read_records, read_result
from cifar_jax.runs.workdir import read_config
from cifar_jax.runtime import console, xla_flags
from cifar_jax.study.plan import shortened
from cifar_jax.training import session
from cifar_jax.training.finish import stem_of_scorecard

Path = str | os.PathLike[str]
_training = threading.Lock()  # held by the thread that trains
Guesses = list[tuple[str, float]]


def train(
  config: str | ConfigDict,
  *,
  workdir: Path | None = None,
  epochs: int | None = None,
  overrides: Mapping[str, Any] | None = None,
) -> 'Run':
  """Trains, tests and reports a run; the same call resumes it, and returns it once it is finished.

  An interrupt (Ctrl-C, or the notebook's stop) raises KeyboardInterrupt; the same call goes on from
  the last checkpoint. Works in any thread, for one run at a time: runs share the settings of
  pictures and the connections to trackers. Shows a bar, and warnings; all else is in `log.txt`.

  Args:
    config: a recipe with its arguments, such as `resnet:depth=20`, a file of your own, or a
      configuration that `cifar_jax.config.load` made.
    workdir: the directory of the run's files; by default `runs/MODEL`.
    epochs: another number of epochs; the schedule keeps its shape.
    overrides: keys of the configuration to values, such as `{'train.batch_size': 64}`.

  Raises:
    InputError: the configuration, the data or the workdir cannot be used, or another thread is
      training. Nothing was changed.
    DivergedError: the loss or gradient was not finite. The last good checkpoint is intact.
    ShortageError: memory or disk do not suffice. Everything saved is intact.
  """
  config = load(config) if isinstance(config, str) else config.copy_and_resolve_references()
  override(config, _as_options(overrides or {}))
  if epochs is not None:
    override(config, _as_options(shortened(config, epochs)))
  if config.train.deterministic:
    xla_flags.make_deterministic()
  folder = paths.local(workdir or pathlib.Path('runs', config.model.name))
  console.warnings_only()
  if not _training.acquire(blocking=False):
    raise InputError('this process is training another run: wait for its end, or start a process')
  try:
    session.run(config, folder, from_python=True)
  finally:
    _training.release()
  return load_run(folder)


def load_run(workdir: Path) -> 'Run':
  """The run in a directory, finished or not.

  Raises:
    InputError: there is no run.
  """
  folder = paths.local(workdir)
  read_config(folder)
  console.warnings_only()
  return Run(folder)


class Run:
  """A run on disk. Everything is read when it is first asked for.

  Attributes:
    workdir: the directory of its files.
  """

  def __init__(self, workdir: pathlib.Path) -> None:
    """Opens a directory; `load_run` checks it first."""
    self.workdir = workdir

  def __repr__(self) -> str:
    """The summary that the command prints; of an unfinished run, the directory."""
    if not (self.workdir / session.RESULT).exists():
      return f'<unfinished run in {self.workdir}>'
    return '\n'.join(summary.lines(self.workdir))

  @functools.cached_property
  def config(self) -> ConfigDict:
    """The configuration, locked."""
    return read_config(self.workdir)

  @property
  def history(self) -> list[Record]:
    """The records so far; `runs/results.py` describes them."""
    return read_records(self.workdir)

  @functools.cached_property
  def result(self) -> dict[str, Any]:
    """The content of `result.json`; raises InputError before the end of the run."""
    return read_result(self.workdir)

  @property
  def test(self) -> dict[str, Any]:
    """Loss and accuracy in [0, 1] on the test images, of the last epoch."""
    return self.result['test']

  @property
  def model(self) -> nn.Module:
    """The Flax module: `run.model.apply(run.variables, images, train=False)` gives logits."""
    return self._net.experiment.model

  @property
  def variables(self) -> dict[str, Any]:
    """Parameters and statistics at the last checkpoint; of several seeds, those of the first."""
    state = self._net.state
    return {'params': state.params, 'batch_stats': state.batch_stats}

  @functools.cached_property
  def _net(self) -> Restored:
    """The run without its data, which may be on another machine."""
    return restore_net(self.workdir, 'last', [])

  def curves(self) -> Picture:
    """Loss, error and learning rate by epoch."""
    return Picture(curves.learning_curves_figure(self.history, self.config.model.name))

  def confusion(self) -> Picture:
    """Which classes the net takes for which, on the test images."""
    return Picture(scorecard.confusion_figure(self.config.model.name, self._scorecard, self._truth))

  def mistakes(self) -> Picture:
    """The test images that the net is wrong about with the highest confidence.

    Raises:
      InputError: there is no mistake.
    """
    if not self._scorecard['most_confident_mistakes']:
      raise InputError('the net makes no mistake on the test images')
    return Picture(scorecard.mistakes_figure(self.config.model.name, self._scorecard, self._truth))

  @property
  def _scorecard(self) -> dict[str, Any]:
    path = self.workdir / scorecard.FOLDER / f'{stem_of_scorecard(self.result)}.json'
    return read_object(path, 'cifar_jax.evaluate writes it again')

  @functools.cached_property
  def _truth(self) -> GroundTruth:
    dataset = restore_run(self.workdir, 'last', []).experiment.dataset
    return GroundTruth(dataset.test.labels, dataset.class_names, dataset.test.images)

  def predict(self, *files: Path) -> list[Guesses]:
    """Classifies image files, prepared as the run's training images were.

    Args:
      *files: images of any size, one or more.

    Returns:
      For each file its most probable classes with their probabilities, the highest first.

    Raises:
      InputError: a file is no image, or there is no file.
    """
    if not files:
      raise InputError('predict needs an image file')
    inputs = np.stack([predict.prepare(paths.local(file), self._net) for file in files])
    class_names = self._net.experiment.dataset.class_names
    probabilities = predict.classify([self._net], inputs, 'none')
    return [predict.most_probable(row, class_names) for row in probabilities]

  def lesion(self, **options: Any) -> Analysis:
    """The error without blocks, and with blocks exchanged: Veit et al. 2016, arXiv 1605.06431.

    Args:
      **options: those of the command, such as `num_images=500` and `draws=5`.
    """
    return self._analyse('lesion', options)

  def path_length(self, **options: Any) -> Analysis:
    """The gradient along paths of each length: Veit et al. 2016; options are the command's."""
    return self._analyse('path_length', options)

  def branch_correlation(self, **options: Any) -> Analysis:
    """The correlation of Shake-Shake's branches: Gastaldi 2017; options are the command's."""
    return self._analyse('branch_correlation', options)

  def activations(self, **options: Any) -> Analysis:
    """Activations and gradients by layer; options are the command's."""
    return self._analyse('activations', options)

  def landscape(self, **options: Any) -> Analysis:
    """The loss along a random direction, or to another run; options are the command's."""
    return self._analyse('landscape', options)

  def complexity(self, **options: Any) -> Analysis:
    """Operations, parameters, memory and time; options are the command's."""
    return self._analyse('complexity', options)

  def _analyse(self, name: str, options: Mapping[str, Any]) -> Analysis:
    """Runs an analysis with the options of its command.

    Raises:
      InputError: an option or its value is wrong, or the net has nothing to measure.
    """
    parser = importlib.import_module(f'cifar_jax.analysis.{name}').make_parser()
    words = ['--workdir', str(self.workdir)]
    known = sorted(set(vars(parser.parse_args(words))) - {'workdir', 'picture'})
    if unknown := sorted(options.keys() - set(known)):
      raise InputError(f'{name} has no option {unknown[0]!r}; there are {", ".join(known)}')
    given = [(option, value) for option, value in options.items() if value is not None]
    words += [f'--{option.replace("_", "-")}={value}' for option, value in given]
    arguments = parser.parse_args(words)
    arguments.overrides = []
    results, table, figure = runner.measure_run(name, self.workdir, arguments)
    return Analysis(results, table, figure([results]))


def _as_options(changes: Mapping[str, Any]) -> list[str]:
  return [f'--config.{key}={value}' for key, value in changes.items()]
