"""The evaluations in a run's folder: their names in words, and the better of several views."""

import json
import pathlib
import re
from typing import Any, NamedTuple

from cifar_jax.config.dataset import TITLES, DataSettings
from cifar_jax.report import page_data
from cifar_jax.runs import contents, distinct_names

FOLDER = 'evaluation'
_MOST_NAMES = 5  # of an ensemble's members in a title
_SPLITS = {'train': 'training', 'validation': 'validation', 'test': 'test'}
_CHECKPOINTS = {'last': 'last epoch', 'best': 'best epoch by validation'}
VIEWS = {
  'none': 'one view',
  'flip': 'with mirror images',
  'flip_shift': 'with mirrored and shifted images',
  'five_crop': 'five crops',
  'ten_crop': 'ten crops',
}


class Evaluation(NamedTuple):
  """One evaluation of a run.

  Attributes:
    path: its files without their endings.
    content: the scorecard, from `PATH.json`.
    name: images, checkpoint and seed in words, without the views.
    views: the views in words.
  """

  path: pathlib.Path
  content: dict[str, Any]
  name: str
  views: str

  @property
  def title(self) -> str:
    """The name, with the views unless each image was seen once."""
    return self.name if self.views == VIEWS['none'] else f'{self.name}, {self.views}'

  @property
  def error(self) -> float | None:
    """The error in percent; None if the file does not state it."""
    return self.content.get('error_percent')


def read(workdir: pathlib.Path, result: dict[str, Any]) -> list[list[Evaluation]]:
  """Reads the evaluations of a run that have a confusion matrix or classes.

  One with a wrong value is left out with a warning: it could be mistaken for another.

  Args:
    workdir: directory of the run.
    result: content of `result.json`; empty before the run ends. An evaluation of an earlier
      checkpoint is named by its step.

  Returns:
    Groups of evaluations that differ in their views alone; in each the lowest error comes first.
    The group of the test images at the last epoch comes first of all.
  """
  groups: dict[str, list[Evaluation]] = {}
  for stem, content in page_data.objects(workdir / FOLDER).items():
    if content.get('classes') is None and content.get('confusion_matrix') is None:
      continue
    path = workdir / FOLDER / stem
    if wrong := contents.wrong_value(content, contents.SCORECARD):
      page_data.leave_out(f'{path}.json', f'{wrong} is wrong')
      continue
    content = contents.without_nulls(content, contents.SCORECARD)
    name, views = _in_words(stem, content, result)
    key = json.dumps([name, content.get('data'), _members(content)])
    evaluation = Evaluation(path, content, name, views)
    groups.setdefault(key, []).append(evaluation)
  for group in groups.values():
    group.sort(key=lambda evaluation: (evaluation.error is None, evaluation.error or 0.0))
  return sorted(groups.values(), key=lambda group: not _is_own_test(group[0]))


def _is_own_test(evaluation: Evaluation) -> bool:
  """Whether it is of the run's own test images, alone, at the last epoch; perhaps of one seed."""
  of_last = evaluation.name.startswith(f'Test images, {_CHECKPOINTS["last"]}')
  return of_last and not _members(evaluation.content)


def _checkpoint_in_words(content: dict[str, Any], result: dict[str, Any]) -> str:
  """The checkpoint of an evaluation, by its steps if the run has gone on since."""
  checkpoint, members = content['checkpoint'], content.get('members', [])
  step = {'last': result.get('num_steps'), 'best': result.get('best', {}).get('step')}[checkpoint]
  # Unknown in evaluations of earlier versions.
  steps = [member['step'] for member in members if member.get('step') is not None]
  # The first member is the run itself. Each run has a best epoch of its own.
  if any(other != step for other in (steps if checkpoint == 'last' else steps[:1])):
    return f'after {" and ".join(map(str, sorted(set(steps))))} steps'
  return _CHECKPOINTS[checkpoint]


def trial_in_words(trial: dict[str, Any], result: dict[str, Any]) -> str:
  """Returns what a reader must know of the net or nets that something is of, in words.

  Args:
    trial: a `contents.TRIAL`; empty if an early version did not write it.
    result: content of the run's `result.json`; empty before the run ends.

  Returns:
    Such as ` (after 6 steps, ensemble of 2, ten crops)`; '' for one view of the last epoch's net.
  """
  trial = contents.without_nulls(trial, contents.TRIAL)
  members, views = trial.get('members', []), trial.get('tta', 'none')
  words = [_checkpoint_in_words(trial, result)] if trial.get('checkpoint') in _CHECKPOINTS else []
  if len(members) > 1:
    words.append(f'ensemble of {len(members)}')
  elif members and 'seed' in members[0]:
    words.append(f'seed {members[0]["seed"]}')
  words.append(VIEWS.get(views, views))
  words += _other_code(trial, result)
  words = [word for word in words if word not in (_CHECKPOINTS['last'], VIEWS['none'])]
  return f' ({", ".join(words)})' if words else ''


def _in_words(stem: str, content: dict[str, Any], result: dict[str, Any]) -> tuple[str, str]:
  """Returns the name of an evaluation and its views, in words."""
  split, checkpoint = content.get('split'), content.get('checkpoint')
  if split not in _SPLITS or checkpoint not in _CHECKPOINTS:
    return stem.replace('_', ' ').capitalize(), VIEWS['none']
  data, members = content.get('data'), _members(content)
  words = [f'{_SPLITS[split].capitalize()} images', _checkpoint_in_words(content, result)]
  if data and data.get('name'):
    words.insert(0, f'{TITLES.get(data["name"], data["name"])}{_place(data)}')
    words[1] = f'{_SPLITS[split]} images'
    if number := content.get('images_trained_on'):
      words[1] += f' ({number} of them trained on or chosen by)'
  if seed := re.search(r'_seed(\d+)', stem):
    words.append(f'seed {seed[1]}')
  if members:
    words.append(f'ensemble of {len(members)}{_names(members)}')
  words += _other_code(content, result)
  views = content.get('tta', 'none')
  return ', '.join(words), VIEWS.get(views, views)


def _place(data: dict[str, Any]) -> str:
  """Returns where other data are, and what else tells them from others of their name."""
  fields = ('data_dir', 'source', 'images_per_class', 'seed', 'test_size', 'skip_bad')
  usual = {field: getattr(DataSettings(name=''), field) for field in fields}
  told = [
    str(data[field]) if field == 'data_dir' else f'{field}={data[field]}'
    for field in fields
    if data.get(field) not in (None, usual[field])
  ]
  return f' ({", ".join(told)})' if told else ''


def _other_code(content: dict[str, Any], result: dict[str, Any]) -> list[str]:
  """Returns words where something was computed by other code than a result."""
  return [page_data.OTHER_CODE] if page_data.is_of_other_code(content, result) else []


def _names(workdirs: list[str | None]) -> str:
  """Returns the names of some runs in brackets; '' if they are too many, or unknown."""
  known = [pathlib.Path(workdir) for workdir in workdirs if workdir]
  if len(known) < len(workdirs) or len(known) > _MOST_NAMES:
    return ''
  return f' ({", ".join(distinct_names.of_directories(known))})'


def _members(content: dict[str, Any]) -> list[Any]:
  """Returns the workdirs of the runs whose probabilities were averaged; none for one run."""
  members = content.get('members', [])
  return [member.get('workdir') for member in members] if len(members) > 1 else []
