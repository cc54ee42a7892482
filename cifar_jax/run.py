"""Runs from Python: `train` one, `load_run` one from its directory, look at it.

  import cifar_jax
  run = cifar_jax.train('resnet:depth=8,dataset=shapes', epochs=1, workdir='runs/shapes')
  run.test['accuracy']
  run.curves()
  run.predict('cat.jpg')
  run.lesion(num_images=500)

Pictures are shown where they are the last value of a notebook's cell.
"""

import os
import pathlib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import numpy as np
from ml_collections import ConfigDict

from cifar_jax import paths
from cifar_jax.analysis.methods import Analyses
from cifar_jax.config import load, override
from cifar_jax.errors import InputError
from cifar_jax.evaluation import evaluate, predict, result_scorecard, scorecard
from cifar_jax.evaluation.predictions import GroundTruth
from cifar_jax.evaluation.restore import Restored, restore_net
from cifar_jax.models import own_net
from cifar_jax.picture import Picture
from cifar_jax.python_errors import in_words_of_python
from cifar_jax.report import summary
from cifar_jax.report.figures import curves
from cifar_jax.runs.kept_values import KeptValues
from cifar_jax.runs.results import RESULT, Record, read_records, read_result
from cifar_jax.runs.workdir import CHECKPOINTS, read_config
from cifar_jax.runtime import console, xla_flags
from cifar_jax.study.plan import shortened
from cifar_jax.training import session

if TYPE_CHECKING:  # imported where it is needed, because that takes time
  from PIL.Image import Image

Path = str | os.PathLike[str]
_training = threading.Lock()  # held by the thread that trains
Guesses = list[tuple[str, float]]


@in_words_of_python()
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
      training. Nothing is lost.
    DivergedError: the loss or gradient was not finite. The last good checkpoint is intact.
    ShortageError: memory or disk do not suffice. Everything saved is intact.
  """
  config = load(config) if isinstance(config, str) else config.copy_and_resolve_references()
  override(config, _as_options(overrides or {}))
  if epochs is not None:
    override(config, _as_options(shortened(config, epochs)))
  if config.train.deterministic:
    xla_flags.make_deterministic()
  # A notebook may change the current directory while a thread trains.
  folder = paths.local(workdir or pathlib.Path('runs', config.model.name)).absolute()
  console.warnings_only()
  if not _training.acquire(blocking=False):
    raise InputError('this process is training another run: wait for its end, or start a process')
  try:
    session.run(config, folder, from_python=True)
  finally:
    _training.release()
  return load_run(folder)


@in_words_of_python()
def load_run(workdir: Path) -> 'Run':
  """The run in a directory, finished or not.

  Raises:
    InputError: there is no run.
  """
  folder = paths.local(workdir).absolute()
  read_config(folder)
  console.warnings_only()
  return Run(folder)


class Run(Analyses):
  """A run on disk. What it is asked for is of the run as it is then, also while it is trained.

  `analysis/methods.py` has the methods of the analyses.

  Attributes:
    workdir: the directory of its files.
  """

  def __init__(self, workdir: pathlib.Path) -> None:
    """Opens a directory; `load_run` checks it first."""
    self.workdir = workdir
    self._kept = KeptValues(workdir / CHECKPOINTS)

  def __repr__(self) -> str:
    """The summary that the command prints; of an unfinished run, the directory."""
    if not (self.workdir / RESULT).exists():
      return f'<unfinished run in {self.workdir}>'
    return '\n'.join(summary.lines(self.workdir))

  @property
  def config(self) -> ConfigDict:
    """The configuration, locked."""
    return read_config(self.workdir)

  @property
  @in_words_of_python()
  def history(self) -> list[Record]:
    """The records so far; `runs/results.py` describes them."""
    return read_records(self.workdir)

  @property
  @in_words_of_python()
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

  @property
  @in_words_of_python()
  def _net(self) -> Restored:
    """The run without its data, which may be on another machine."""
    return self._kept.get('net', lambda: restore_net(self.workdir, 'last', []))

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
    return result_scorecard.read(self.workdir, self.result)

  @property
  @in_words_of_python()
  def _truth(self) -> GroundTruth:
    return self._kept.get('truth', lambda: result_scorecard.truth(self.workdir))

  @in_words_of_python()
  def predict(self, *pictures: 'Path | np.ndarray | Image | Sequence[Any]') -> list[Guesses]:
    """Classifies pictures, prepared as the run's training images were.

    Args:
      *pictures: one or more, of any size, or lists of them: image files, images of Pillow, or
        arrays, uint8 `[height, width, 3]` or, in shades of grey, `[height, width]`.

    Returns:
      For each picture its most probable classes with their probabilities, the highest first.

    Raises:
      InputError: there is no picture, or one of them is none.
    """
    given = [p for item in pictures for p in (item if isinstance(item, list | tuple) else [item])]
    if not given:
      raise InputError('predict needs an image file, an image of Pillow or an array')
    sources: list[Any] = [paths.local(p) if isinstance(p, str | os.PathLike) else p for p in given]
    net = self._net
    own_net.warn_if_changed(own_net.as_it_is_now(net.experiment.own_net), net.run_info)
    inputs = np.stack([predict.prepare(source, net) for source in sources])
    class_names = net.experiment.dataset.class_names
    probabilities = predict.classify([net], inputs, 'none')
    return [predict.most_probable(row, class_names) for row in probabilities]

  @in_words_of_python()
  def evaluate(
    self,
    split: str = 'test',
    *,
    checkpoint: str = 'last',
    tta: str = 'none',
    overrides: Mapping[str, Any] | None = None,
  ) -> dict[str, Any]:
    """Evaluates the run and writes the files of the command `evaluate` into its workdir.

    Args:
      split: `train`, `validation` or `test`.
      checkpoint: `last`, or `best` by validation accuracy.
      tta: the views whose probabilities are averaged, one of `config.augmentation.VIEWS`.
      overrides: keys of the configuration to values, such as `{'data.name': 'cifar10_1',
        'data.data_dir': 'data'}` for other data than the run's.

    Returns:
      The values of the JSON file: `accuracy`, `loss`, `error_percent`, `calibration`, ...

    Raises:
      InputError: a value is none of these, the run has no such checkpoint or images, or the files
        cannot be written.
    """
    options = _as_options(overrides or {})
    return evaluate.evaluate_runs([self.workdir], split, checkpoint, tta, options, None)[0]


def _as_options(changes: Mapping[str, Any]) -> list[str]:
  return [f'--config.{key}={value}' for key, value in changes.items()]
