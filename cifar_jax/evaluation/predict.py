"""Classifies image files with trained nets; the command is `predict.py`.

The largest centred square of an image is scaled to the size that the net was trained on.
"""

import pathlib

import numpy as np

from cifar_jax import output_files
from cifar_jax.data import pictures
from cifar_jax.data.dataset import Split
from cifar_jax.evaluation import scorecard, scores
from cifar_jax.evaluation.ensemble import model_name, predict_ensemble, restore_ensemble
from cifar_jax.evaluation.restore import Restored
from cifar_jax.report.figures import images

GUESSES = 3


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
  files: list[pathlib.Path],
  out: pathlib.Path | None,
  checkpoint: str,
  tta: str,
  overrides: list[str],
) -> None:
  """Classifies image files, prints the most probable classes of each, and draws what the net sees.

  Args:
    runs: the workdir of a run, or of several whose probabilities are averaged.
    files: images of any size, in a format that Pillow reads.
    out: the picture, a PNG; by default `evaluation/own_pictures.png` in the first workdir.
    checkpoint: one of `options.CHECKPOINT_CHOICES`.
    tta: one of `config.augmentation.VIEWS`.
    overrides: `--config.SECTION.KEY=VALUE`.

  Raises:
    InputError: a file is no image, a run cannot be restored, or the picture cannot be written.
  """
  loaded = [pictures.read(path) for path in files]
  members = restore_ensemble(runs, checkpoint, overrides)
  out = out or runs[0] / scorecard.FOLDER / 'own_pictures.png'
  output_files.make_folder(out.parent)
  experiment = members[0].experiment
  height, width, _ = experiment.image_shape
  inputs = np.stack([pictures.resize(image, height, width, 'crop') for image in loaded])

  probabilities = classify(members, inputs, tta)
  guesses = [most_probable(row, experiment.dataset.class_names) for row in probabilities]
  longest = max(len(str(path)) for path in files)
  for path, ranked in zip(files, guesses, strict=True):
    table = '   '.join(f'{name} {100 * probability:5.1f} %' for name, probability in ranked)
    print(f'{path!s:{longest}}   {table}')
  title = f'What {model_name(members)} sees, and its {len(guesses[0])} best guesses'
  picture = images.guesses(inputs, [path.name for path in files], guesses, title)
  output_files.save_figure(picture, out)
  print(f'written: {out}')
