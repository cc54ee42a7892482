"""Classifies pictures of one's own: `python -m cifar_jax.predict --workdir DIR IMAGE ...`.

A picture may have any size and be of any kind that Pillow reads. Of each the largest centred
square is scaled to the size that the net was trained on. Prints the three best guesses, and draws
the inputs as the net saw them.
"""

import pathlib

import numpy as np

from cifar_jax import command, ensemble, scores, verdict
from cifar_jax.data import Split, pictures
from cifar_jax.errors import InputError
from cifar_jax.report import files, images

GUESSES = 3


def classify(members: list[ensemble.Restored], inputs: np.ndarray, tta: str) -> np.ndarray:
  """The probabilities of each class.

  Args:
    members: one run or several, whose probabilities are averaged.
    inputs: uint8 `[n, height, width, 3]`.
    tta: one of `views.NAMES`.

  Returns:
    float64 `[n, classes]`.
  """
  split = Split(inputs, np.zeros(len(inputs), np.int32))
  return np.exp(scores.log_softmax(ensemble.predict(members, split, tta)))


def main() -> None:
  """Classifies pictures of one's own by a run."""
  parser = command.Parser(prog='python -m cifar_jax.predict', description=main.__doc__)
  parser.add_argument('--workdir', type=pathlib.Path, required=True, help='of a run')
  parser.add_argument('images', type=pathlib.Path, nargs='+', metavar='IMAGE')
  parser.add_argument(
    '--out', type=pathlib.Path, metavar='FILE.png', help='by default evaluation/own_pictures.png'
  )
  ensemble.add_arguments(parser)
  ensemble.add_members(parser)
  arguments, overrides = parser.parse_known_args()
  read = [pictures.read(path) for path in arguments.images]
  runs = [arguments.workdir, *arguments.ensemble]
  members = ensemble.restore(runs, arguments.checkpoint, overrides)
  out = arguments.out or arguments.workdir / 'evaluation' / 'own_pictures.png'
  if out.suffix.lower() != '.png':
    raise InputError(f'--out is {out}; it names a .png file')
  verdict.make_folder(out.parent)
  parts = members[0].parts
  height, width, _ = parts.image_shape
  inputs = np.stack([pictures.crop_and_resize(image, height, width) for image in read])

  names = parts.dataset.class_names
  ranked = []
  longest = max(len(str(path)) for path in arguments.images)
  for path, row in zip(arguments.images, classify(members, inputs, arguments.tta), strict=True):
    best = np.argsort(-row, kind='stable')[:GUESSES]
    ranked.append([(names[label], float(row[label])) for label in best])
    told = '   '.join(f'{name} {100 * share:5.1f} %' for name, share in ranked[-1])
    print(f'{path!s:{longest}}   {told}')
  model = members[0].settings.model.name if len(runs) == 1 else f'ensemble of {len(runs)}'
  title = f'What {model} sees, and its {len(ranked[0])} best guesses'
  files.save(images.guesses(inputs, [path.name for path in arguments.images], ranked, title), out)
  print(f'written: {out}')


if __name__ == '__main__':
  command.run(main)
