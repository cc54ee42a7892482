"""Evaluates a run or a prediction file; every image of a split counts exactly once.

`python -m cifar_jax.evaluate --workdir DIR` evaluates a run, finished or not, alone or in an
ensemble; `--predictions FILE.npz` evaluates a prediction file (see `evaluation/predictions.py`).
Both print a short table. They write values, pictures and, for a run, every prediction, into files
whose names contain the split and the checkpoint.

`--config.data.name=NAME --config.data.data_dir=DIR` evaluates a run on other data than its own:
cifar10_1, cifar10_c, cifar100_c, svhn, a folder, or any other data set with the classes of the run.
"""

from cifar_jax import cli
from cifar_jax.config import help_text
from cifar_jax.config.dataset import SPLITS
from cifar_jax.errors import InputError
from cifar_jax.evaluation.options import add_ensemble, add_prediction_options, add_seed_index


def main() -> None:
  """Reads the command line, then evaluates. JAX is imported once the command line is valid."""
  parser = cli.Parser('python -m cifar_jax.evaluate', __doc__, help_text.of_finished_run)
  source = parser.add_mutually_exclusive_group(required=True)
  source.add_argument('--workdir', type=cli.path, help='directory of a run, finished or not')
  source.add_argument(
    '--predictions', metavar='FILE.npz[:NAME]', help='prediction file of one model or several'
  )
  parser.add_argument('--split', choices=SPLITS, default='test')
  parser.add_argument('--out', type=cli.path, help='directory of the results')
  add_seed_index(parser)
  add_prediction_options(parser)
  add_ensemble(parser)
  arguments, overrides = parser.parse_with_overrides()
  checkpoint, tta = arguments.checkpoint, arguments.tta
  is_run = arguments.workdir is not None
  if not is_run and (
    arguments.ensemble or arguments.seed_index or (checkpoint, tta) != ('last', 'none')
  ):
    raise InputError(
      '--checkpoint, --tta, --ensemble and --seed-index go with --workdir, not with --predictions'
    )
  from cifar_jax.evaluation import evaluate

  if is_run:
    runs = [arguments.workdir, *arguments.ensemble]
    _, lines = evaluate.evaluate_runs(
      runs, arguments.split, checkpoint, tta, overrides, arguments.out, arguments.seed_index
    )
    print('\n'.join(lines))
  else:
    evaluate.evaluate_file(arguments.predictions, arguments.split, overrides, arguments.out)


if __name__ == '__main__':
  cli.run(main)
