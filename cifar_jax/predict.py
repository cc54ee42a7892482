"""Classifies image files: `python -m cifar_jax.predict --workdir DIR IMAGE ...`.

An image may have any size, and any file format that Pillow reads. Its largest centred square is
scaled to the image size that the net was trained on. The command prints the three most probable
classes of each image, and draws the images as the net sees them.
"""

import pathlib

import numpy as np

from cifar_jax import cli, output_files
from cifar_jax.data import pictures
from cifar_jax.data.dataset import Split
from cifar_jax.errors import InputError
from cifar_jax.evaluation import scorecard, scores
from cifar_jax.evaluation.ensemble import model_name, predict_ensemble, restore_ensemble
from cifar_jax.evaluation.options import add_ensemble, add_prediction_options
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


def main() -> None:
  """Classifies image files with a trained net."""
  parser = cli.Parser(prog='python -m cifar_jax.predict', description=main.__doc__)
  parser.add_argument('--workdir', type=pathlib.Path, required=True, help='directory of a run')
  parser.add_argument('images', type=pathlib.Path, nargs='+', metavar='IMAGE')
  parser.add_argument(
    '--out', type=pathlib.Path, metavar='FILE.png',
    help="by default evaluation/own_pictures.png in the run's directory",
  )  # fmt: skip
  add_prediction_options(parser)
  add_ensemble(parser)
  arguments, overrides = parser.parse_known_args()
  loaded = [pictures.read(path) for path in arguments.images]
  runs = [arguments.workdir, *arguments.ensemble]
  members = restore_ensemble(runs, arguments.checkpoint, overrides)
  out = arguments.out or arguments.workdir / scorecard.FOLDER / 'own_pictures.png'
  if out.suffix.lower() != '.png':
    raise InputError(f'--out is {out}, but must name a .png file')
  output_files.make_folder(out.parent)
  experiment = members[0].experiment
  height, width, _ = experiment.image_shape
  inputs = np.stack([pictures.crop_and_resize(image, height, width) for image in loaded])

  probabilities = classify(members, inputs, arguments.tta)
  guesses = [most_probable(row, experiment.dataset.class_names) for row in probabilities]
  longest = max(len(str(path)) for path in arguments.images)
  for path, ranked in zip(arguments.images, guesses, strict=True):
    table = '   '.join(f'{name} {100 * probability:5.1f} %' for name, probability in ranked)
    print(f'{path!s:{longest}}   {table}')
  title = f'What {model_name(members)} sees, and its {len(guesses[0])} best guesses'
  output_files.save_figure(
    images.guesses(inputs, [path.name for path in arguments.images], guesses, title), out
  )
  print(f'written: {out}')


if __name__ == '__main__':
  cli.run(main)
