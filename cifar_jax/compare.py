"""Compares runs and prediction files: `python -m cifar_jax.compare DIR_OR_FILE ...`.

A directory is a run, which predicts a split. A file `FILE.npz` or `FILE.npz:NAME` holds predictions
(see `evaluation/predictions.py`). All must be of the same images. The comparison has the error of
each model; for each pair of models their agreement, the consistency of their errors and McNemar's
test; and the images on which all models fail.
"""

import pathlib

from cifar_jax import cli
from cifar_jax.config import help_text
from cifar_jax.config.dataset import SPLITS
from cifar_jax.errors import InputError
from cifar_jax.evaluation.options import add_prediction_options


def main() -> None:
  """Reads the command line, then compares. JAX is imported once the command line is valid."""
  parser = cli.Parser('python -m cifar_jax.compare', __doc__, help_text.of_finished_run)
  parser.add_argument('sources', nargs='+', metavar='DIR_OR_FILE')
  parser.add_argument('--split', choices=SPLITS, default='test')
  parser.add_argument('--out', type=cli.path, default=pathlib.Path('comparison'))
  add_prediction_options(parser)
  arguments, overrides = parser.parse_with_overrides()

  from cifar_jax.evaluation import compare
  from cifar_jax.evaluation.sources import (
    absolute_overrides,
    absolute_sources,
    collect_predictions,
  )

  options = {key: getattr(arguments, key) for key in ('split', 'checkpoint', 'tta')}
  sources, data = absolute_sources(arguments.sources), absolute_overrides(overrides)
  what = {'sources': sources, 'overrides': data, **options}
  compare.check_out(arguments.out, what)
  models, truth = collect_predictions(
    arguments.sources, arguments.split, arguments.checkpoint, arguments.tta, overrides
  )
  if len(models) < 2:
    raise InputError('a comparison needs two or more models; give another run or file')
  compared = what | compare.compare_models(models, truth)
  compare.write(arguments.out, compared, models, truth)
  views = '' if arguments.tta == 'none' else f' with {arguments.tta}'
  images = f'{len(truth.labels)} {arguments.split} images'
  print(f'{images}; of runs the {arguments.checkpoint} checkpoint{views}')
  print('\n'.join([*compare.lines(compared), f'written: {arguments.out}']))


if __name__ == '__main__':
  cli.run(main)
