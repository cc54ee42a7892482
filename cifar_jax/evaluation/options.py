"""Command-line options that select a checkpoint, a seed, test-time views and ensemble members."""

from cifar_jax import cli
from cifar_jax.config.augmentation import VIEWS
from cifar_jax.config.initialization import CHECKPOINT_CHOICES


def add_checkpoint(parser: cli.Parser) -> None:
  """Adds `--checkpoint`: the last checkpoint of a run, or the best by validation accuracy."""
  parser.add_argument('--checkpoint', choices=CHECKPOINT_CHOICES, default='last')


def add_seed_index(parser: cli.Parser) -> None:
  """Adds `--seed-index`, which selects a seed of a run that trained several at once."""
  parser.add_argument(
    '--seed-index', type=int, default=0, metavar='I',
    help='index of a seed in a run of several seeds, from 0',
  )  # fmt: skip


def add_prediction_options(parser: cli.Parser) -> None:
  """Adds `--checkpoint` and `--tta` (test-time augmentation)."""
  add_checkpoint(parser)
  parser.add_argument(
    '--tta', choices=VIEWS, default='none', help='views whose probabilities are averaged'
  )


def add_ensemble(parser: cli.Parser) -> None:
  """Adds `--ensemble`: further runs that predict together with `--workdir`."""
  parser.add_argument(
    '--ensemble', type=cli.path, nargs='+', default=[], metavar='DIR',
    help='runs whose probabilities are averaged with those of --workdir',
  )  # fmt: skip
