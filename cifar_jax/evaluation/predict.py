"""Classifies image files with trained nets; the command is `predict.py`.

An image is prepared as the images that the net was trained on: `DataSettings.picture_resizing`.
"""

import logging
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from cifar_jax import input_files, output_files
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import pictures
from cifar_jax.data.dataset import Split
from cifar_jax.data.folder_files import PassedOver, as_text, image_files
from cifar_jax.errors import InputError
from cifar_jax.evaluation import scorecard, scores
from cifar_jax.evaluation.ensemble import predict_ensemble, restore_nets
from cifar_jax.evaluation.restore import Restored
from cifar_jax.evaluation.trial import Trial
from cifar_jax.report import thumbnails
from cifar_jax.report.figures import images

if TYPE_CHECKING:  # imported by `data.pictures`, because that takes time
  from PIL.Image import Image

logger = logging.getLogger(__name__)

GUESSES = 3
MOST_DRAWN = 40  # more would make a picture that no program shows


def classify(members: list[Restored], inputs: np.ndarray, tta: str) -> np.ndarray:
  """Computes the probability of each class.

  Args:
    members: one run, or several whose probabilities are averaged.
    inputs: uint8 `[n, height, width, 3]`.
    tta: one of `config.augmentation.VIEWS`.

  Returns:
    float64 `[n, classes]`.
  """
  split = Split(inputs, np.zeros(len(inputs), np.int32))
  return np.exp(scores.log_softmax(predict_ensemble(members, split, tta)))


def most_probable(
  probabilities: np.ndarray, class_names: tuple[str, ...]
) -> list[tuple[str, float]]:
  """The names and probabilities of the `GUESSES` most probable classes, the highest first.

  Args:
    probabilities: float `[classes]`.
    class_names: the name of each class.
  """
  labels = np.argsort(-probabilities, kind='stable')[:GUESSES]
  return [(class_names[label], float(probabilities[label])) for label in labels]


def classify_files(
  runs: list[pathlib.Path],
  places: list[pathlib.Path],
  out: pathlib.Path | None,
  checkpoint: str,
  tta: str,
  overrides: list[str],
) -> None:
  """Classifies image files, prints the most probable classes of each, and draws what the net sees.

  Args:
    runs: the workdir of a run, or of several whose probabilities are averaged. Their data are not
      needed.
    places: image files of any size, in one of `pictures.FORMATS`, and directories of such files.
    out: the picture, a PNG of the first `MOST_DRAWN` images; by default
      `evaluation/own_pictures.png` in the first workdir. A JSON file of the same name has the
      images, for the page on the run. Another picture in its place is renamed. Neither file
      replaces an image that is classified, or a JSON file of another kind.
    checkpoint: one of `config.initialization.CHECKPOINT_CHOICES`.
    tta: one of `config.augmentation.VIEWS`.
    overrides: `--config.SECTION.KEY=VALUE`.

  Raises:
    InputError: a file is no image, a directory has no images, a run cannot be restored, or the
      picture cannot be written or would replace another file.
  """
  found = _find_files(places)
  if out:
    if out.exists() and any(path.exists() and out.samefile(path) for path in found):
      raise InputError(f'--out {out} is one of the images to classify: give another name')
    output_files.check_is_own(out.with_suffix('.json'), 'image', 'guesses')
  members = restore_nets(runs, checkpoint, overrides)
  is_named, out = out is not None, out or runs[0] / scorecard.FOLDER / 'own_pictures.png'
  output_files.make_folder(out.parent)
  experiment = members[0].experiment
  files, inputs = _read(found, members[0])

  probabilities = classify(members, inputs, tta)
  guesses = [most_probable(row, experiment.dataset.class_names) for row in probabilities]
  longest = max(len(as_text(path)) for path in files)
  for path, ranked in zip(files, guesses, strict=True):
    table = '   '.join(f'{name} {100 * probability:5.1f} %' for name, probability in ranked)
    print(f'{as_text(path):{longest}}   {table}')
  trial = Trial(runs, members, checkpoint, tta, None)
  title = f'{trial.heading()}\nWhat it sees, and its {len(guesses[0])} best guesses'
  names = [as_text(path.name) for path in files]
  picture = images.guesses(inputs[:MOST_DRAWN], names[:MOST_DRAWN], guesses[:MOST_DRAWN], title)
  by = trial.details()
  captions = [
    {'name': name, 'guesses': g, 'by': by} for name, g in zip(names, guesses, strict=True)
  ]
  rows = thumbnails.as_json(inputs[:MOST_DRAWN], captions[:MOST_DRAWN])
  if not is_named:
    _keep_earlier(out, rows)
  output_files.save_figure(picture, out, outdated=[out.with_suffix('.json')])
  output_files.write_text(out.with_suffix('.json'), rows)
  drawn = f' (the first {MOST_DRAWN} images)' if len(files) > MOST_DRAWN else ''
  print(f'written: {out}{drawn}')
  if out.parent == runs[0] / scorecard.FOLDER:
    print(f'python -m cifar_jax.report {runs[0]} adds them to the report')


def _keep_earlier(out: pathlib.Path, rows: str) -> None:
  """Renames another picture to `own_pictures-2.png` and so on, with its numbers.

  Args:
    out: of the new picture, whose name the user did not give.
    rows: the images and guesses of the new picture, as JSON.
  """
  files = [out, out.with_suffix('.json')]
  try:
    is_same = input_files.read_text(files[1]) == rows
  except (OSError, ValueError):  # an early version wrote no numbers
    is_same = False
  if not is_same and (kept := output_files.set_aside(files)):
    print(f'the earlier picture, of other images or another net, is now {kept}')


def _find_files(places: list[pathlib.Path]) -> dict[pathlib.Path, bool]:
  """The files to classify, and whether each was named itself, not its directory."""
  files: dict[pathlib.Path, bool] = {}
  for place in places:
    if not place.exists():
      raise InputError(f'cannot read {place}: No such file or directory')
    if not place.is_dir():
      files[place] = True
      continue
    passed = PassedOver(skip_bad=True)
    found = image_files(place, passed)
    if not found:
      raise InputError(f'{place} holds no images')
    files |= {path: files.get(path, False) for path in found}
    passed.report(place)
  return files


def prepare(source: 'pathlib.Path | Image | np.ndarray', member: Restored) -> np.ndarray:
  """Prepares a picture as the images that a run was trained on.

  Args:
    source: an image of any size: a file in one of `pictures.FORMATS`, or what
      `data.pictures.from_memory` takes.
    member: the run.

  Returns:
    uint8 `[height, width, 3]`.

  Raises:
    InputError: the source is no image.
  """
  height, width, _ = member.experiment.image_shape
  how = DataSettings(**member.config.data).picture_resizing
  if isinstance(source, pathlib.Path):
    return pictures.resize(pictures.read(source), height, width, how)
  return pictures.resize(pictures.from_memory(source), height, width, how)


def _read(
  files: dict[pathlib.Path, bool], member: Restored
) -> tuple[list[pathlib.Path], np.ndarray]:
  """Reads and prepares images, one at a time.

  Args:
    files: from `_find_files`. One that is no image is an InputError if it was named itself.
    member: the run that the images are prepared for.

  Returns:
    The files that are images, and the images, uint8 `[n, height, width, 3]`.
  """
  inputs: dict[pathlib.Path, np.ndarray] = {}
  for path, was_named in files.items():
    try:
      inputs[path] = prepare(path, member)
    except InputError as error:
      if was_named:
        raise
      logger.warning('left out: %s', error)
  if not inputs:
    raise InputError('none of these files can be read as an image')
  return list(inputs), np.stack(list(inputs.values()))
