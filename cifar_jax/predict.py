"""Classifies image files: `python -m cifar_jax.predict --workdir DIR IMAGE ...`.

An image may have any size, and any file format that Pillow reads; a directory stands for all images
in it and below. An image is prepared as the images that the net was trained on, and nothing is
needed but the workdir. The command prints the three most probable classes of each image, and draws
the images as the net sees them.
"""

from cifar_jax import cli
from cifar_jax.config import help_text
from cifar_jax.errors import InputError
from cifar_jax.evaluation.options import add_ensemble, add_prediction_options


def main() -> None:
  """Reads the command line, then classifies. JAX is imported once the command line is valid."""
  parser = cli.Parser('python -m cifar_jax.predict', __doc__, help_text.of_finished_run)
  parser.add_argument('--workdir', type=cli.path, required=True, help='directory of a run')
  parser.add_argument('images', type=cli.path, nargs='+', metavar='IMAGE', help='file or directory')
  parser.add_argument(
    '--out', type=cli.path, metavar='FILE.png',
    help="by default evaluation/own_pictures.png in the run's directory; FILE.json is written too",
  )  # fmt: skip
  add_prediction_options(parser)
  add_ensemble(parser)
  arguments, overrides = parser.parse_with_overrides()
  out = arguments.out
  if out and out.suffix.lower() != '.png':
    raise InputError(f'--out is {out}, but must name a .png file')

  from cifar_jax.evaluation import predict

  runs = [arguments.workdir, *arguments.ensemble]
  predict.classify_files(
    runs, arguments.images, out, arguments.checkpoint, arguments.tta, overrides
  )


if __name__ == '__main__':
  cli.run(main)
