"""Evaluation: every image of a split counts exactly once.

`python -m cifar_jax.evaluate --workdir DIR` evaluates a run, finished or not, alone or in an
ensemble; `--predictions FILE.npz` a file of predictions (see `predictions.py`). It prints a short
table and writes values, pictures and every prediction, under names with split and checkpoint.
"""

import pathlib
import zlib

import numpy as np

from cifar_jax import command, config, data, ensemble, predictions, provenance, restore, verdict
from cifar_jax.errors import InputError

SPLITS = ('train', 'validation', 'test')


def split_of(dataset: data.Dataset, name: str) -> data.Split:
  """A split by its name; raises InputError where it has no images."""
  split: data.Split = getattr(dataset, name)
  if not len(split):
    raise InputError(f'there are no {name} images')
  return split


def load_truth(split: str, overrides: list[str]) -> predictions.Truth:
  """The truth of a split of CIFAR-10, or of the data that `--config.data.KEY=VALUE` say."""
  settings = config.base('')
  if other := [word for word in overrides if not word.startswith('--config.data.')]:
    raise InputError(
      f'unknown argument {other[0]}; for files, overrides are --config.data.KEY=VALUE'
    )
  config.override(settings, overrides)
  dataset = data.load(**settings.data)
  images = split_of(dataset, split)
  return predictions.Truth(images.labels, dataset.class_names, images.images)


def evaluate_runs(
  runs: list[pathlib.Path],
  split: str,
  which: str,
  tta: str,
  overrides: list[str],
  out: pathlib.Path | None,
  seed_index: int = 0,
) -> None:
  """Evaluates a run's checkpoint, or an ensemble of several, and writes what it finds.

  Args:
    runs: the workdirs; the results go to that of the first.
    split: one of `SPLITS`.
    which: one of `restore.CHECKPOINTS`.
    tta: one of `views.NAMES`.
    overrides: `--config.SECTION.KEY=VALUE`, such as another place of the data.
    out: another directory for the results.
    seed_index: of runs of several seeds, which of them, from 0.

  Raises:
    InputError: there is no such run, checkpoint or split, or the results cannot be written.
  """
  members = ensemble.restore(runs, which, overrides, seed_index)
  parts = members[0].parts
  origin = provenance.describe(parts.mesh.size, 'cifar_jax.evaluate')
  images = split_of(parts.dataset, split)
  names = [split, which] + ([tta] if tta != 'none' else [])
  if members[0].is_of_several:
    names.append(f'seed{parts.seeds[0]}')
  if len(runs) > 1:
    told = '\n'.join(str(run.resolve()) for run in runs)
    names.append(f'ensemble_of_{len(runs)}_{zlib.crc32(told.encode()):08x}')
  stem = '_'.join(names)
  truth = predictions.Truth(images.labels, parts.dataset.class_names, images.images)
  out = out or runs[0] / verdict.FOLDER
  verdict.make_folder(out)

  logits = ensemble.predict(members, images, tta)
  found = predictions.Predictions.of_logits(f'{runs[0].resolve().name}_{stem}', logits)
  told_members = [
    {'workdir': str(m.workdir), 'model': m.settings.model.name, 'step': m.step}
    | ({'seed': m.parts.seeds[0]} if m.is_of_several else {})
    for m in members
  ]
  of = {'split': split, 'checkpoint': which, 'tta': tta, 'members': told_members}
  model = members[0].settings.model.name if len(runs) == 1 else f'ensemble of {len(runs)}'
  title = f'{model}{"" if tta == "none" else " with " + tta}, {split} split'
  judged = verdict.leave(out, stem, title, found, truth, of | origin)
  at = ', '.join(str(member.step) for member in members)
  print(f'{model}, {which} checkpoint (step {at}), tta {tta}, on {len(images)} {split} images')
  print('\n'.join([*verdict.lines(judged), f'written: {out / stem}.json, .npz and pictures']))


def evaluate_file(file: str, split: str, overrides: list[str], out: pathlib.Path | None) -> None:
  """Evaluates each model of a file of predictions.

  Args:
    file: `FILE.npz` or `FILE.npz:NAME`.
    split: whose labels and images it is held against where it has no labels, or data are named.
    overrides: `--config.data.KEY=VALUE`.
    out: for the results; by default `evaluation/FILE` in the current directory.

  Raises:
    InputError: the file, its models or the data cannot be used.
  """
  models, truth = predictions.read(file)
  if truth is None or overrides:
    own, truth = truth, load_truth(split, overrides)
    if own is not None and not np.array_equal(own.labels, truth.labels):
      raise InputError(f'{file} has other labels than the {split} split of these data')
  for model in models:
    predictions.check(model, truth)
  out = out or pathlib.Path('evaluation', pathlib.Path(file.partition('.npz')[0]).name)
  width = max(len(model.name) for model in models)
  for model in models:
    judged = verdict.of(model, truth)
    verdict.write(out, model.name.replace('/', '_'), model.name, judged, truth)
    if len(models) > 1:
      low, high = (100 * (1 - bound) for bound in reversed(judged['accuracy_interval']))
      print(
        f'{model.name:{width}}  error {judged["error_percent"]:6.2f} %  '
        f'(95 % interval {low:.2f} to {high:.2f})'
      )
    else:
      print('\n'.join([f'{model.name} on {len(truth.labels)} images', *verdict.lines(judged)]))
  print(f'written: {out}')


def main() -> None:
  """Accuracy, calibration, confusions and mistakes of a run or of a file of predictions."""
  parser = command.Parser(prog='python -m cifar_jax.evaluate', description=main.__doc__)
  what = parser.add_mutually_exclusive_group(required=True)
  what.add_argument('--workdir', type=pathlib.Path, help='of a run, finished or not')
  what.add_argument('--predictions', metavar='FILE.npz[:NAME]', help='of one model or several')
  parser.add_argument('--split', choices=SPLITS, default='test')
  parser.add_argument('--out', type=pathlib.Path, help='where the results go')
  restore.add_seed_index(parser)
  ensemble.add_arguments(parser)
  ensemble.add_members(parser)
  arguments, overrides = parser.parse_known_args()
  if arguments.workdir:
    runs = [arguments.workdir, *arguments.ensemble]
    evaluate_runs(
      *(runs, arguments.split, arguments.checkpoint, arguments.tta, overrides, arguments.out),
      seed_index=arguments.seed_index,
    )
    return
  if (
    arguments.ensemble
    or arguments.seed_index
    or ((arguments.checkpoint, arguments.tta) != ('last', 'none'))
  ):
    raise InputError(
      '--checkpoint, --tta, --ensemble and --seed-index go with --workdir, not with --predictions'
    )
  evaluate_file(arguments.predictions, arguments.split, overrides, arguments.out)


if __name__ == '__main__':
  command.run(main)
