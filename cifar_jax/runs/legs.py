"""The legs of a run: what it was when it had finished, before it was trained longer.

A finished run goes on when its command is given with more epochs. Its earlier leg is then the
folder `leg1` of the workdir (the next one `leg2`, ...), with configuration, records, result, report
and evaluation as they were. Checkpoints and records of the workdir go on.
"""

import contextlib
import pathlib
import shutil
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import input_files, output_files, own_files
from cifar_jax.config import loading
from cifar_jax.errors import InputError
from cifar_jax.runs import contents, leg_schedules
from cifar_jax.runs.results import CONFIG, METRICS, RESULT, read_config_dict, read_object

_EPOCHS = 'train.num_epochs'
_REMEDY = 'restore it from a copy'
_COPIED = (CONFIG, METRICS, RESULT)
OUTPUTS = ('evaluation', 'analysis', 'plots', 'report.html')
EVENTS = 'leg{}_events'  # TensorBoard's files of a leg after the first; `earlier` passes it over


def is_name(name: str) -> bool:
  """Whether a folder's name is that of a leg, such as `leg1`."""
  return name.startswith('leg') and name[3:].isdecimal()


def earlier(workdir: pathlib.Path) -> list[pathlib.Path]:
  """The folders of the earlier legs, in their order."""
  folders = [folder for folder in workdir.glob('leg*') if is_name(folder.name)]
  return sorted(folders, key=_number)


def is_finished(workdir: pathlib.Path) -> bool:
  """Whether the current leg has a result; one of an earlier leg can still be there."""
  if not (workdir / RESULT).exists():
    return False
  return not _is_archived(workdir) or _num_epochs(workdir) == _num_epochs(earlier(workdir)[-1])


def extends(workdir: pathlib.Path, old: ConfigDict, new: ConfigDict) -> bool:
  """Whether a configuration trains a finished run longer, perhaps with another schedule.

  Args:
    workdir: of the run.
    old: the configuration of the run.
    new: the configuration in question.
  """
  return is_finished(workdir) and is_longer(old, new)


def ends(workdir: pathlib.Path) -> list[int]:
  """The steps at which the earlier legs of a run ended."""
  return [_num_steps(leg) for leg in earlier(workdir)]


def kept_steps(workdir: pathlib.Path) -> list[int]:
  """The steps of the checkpoints that earlier legs ended with and that were their best.

  They are kept because a later leg can be given up.
  """
  results = [_read_result(leg) for leg in earlier(workdir)]
  best = [result['best']['step'] for result in results if 'step' in result.get('best', {})]
  return [result['num_steps'] for result in results] + best


def is_longer(old: ConfigDict, new: ConfigDict) -> bool:
  """Whether two configurations differ in nothing but a longer training and its schedule."""
  changed = loading.changed_keys(old, new)
  only_leg = all(key == _EPOCHS or key.startswith('schedule.') for key in changed)
  return only_leg and new.train.num_epochs > old.train.num_epochs


def check(
  workdir: pathlib.Path, old: ConfigDict, new: ConfigDict, leg: pathlib.Path | None = None
) -> None:
  """Checks that a run can be trained longer.

  Args:
    workdir: of the run.
    old: the configuration of its last leg with a result.
    new: the configuration of a longer run.
    leg: the folder of that leg, if it is an earlier one.

  Raises:
    InputError: something of the run was planned for its length, or ended it.
  """
  epochs, name = old.train.num_epochs, old.schedule.name
  schedules = leg_schedules.read(old.schedule.to_dict()), leg_schedules.read(new.schedule.to_dict())
  is_scaled = leg_schedules.is_scaled(*schedules, new.train.num_epochs / epochs)
  is_new_schedule = schedules[0] != schedules[1] and not is_scaled
  problem = ''
  if 'planned_epochs' in _read_result(leg or workdir):
    problem = 'train.patience ended it'
  elif old.optimizer.get('lookahead_steps', 0):
    problem = 'optimizer.lookahead_steps planned for its length'
  elif old.optimizer.get('whitening_until', 1.0) < 1:
    problem = 'optimizer.whitening_until is a fraction of its length'
  elif is_new_schedule and 'plateau' in (name, new.schedule.name):
    problem = 'the state of the schedule plateau belongs to its optimizer'
  elif not is_new_schedule and name not in leg_schedules.GOING_ON:
    raise InputError(
      f'{workdir} holds a run that finished at epoch {epochs:g}, and its schedule {name} ended '
      'there: say the schedule of the further epochs, such as --config.schedule.name=constant '
      '--config.schedule.learning_rate=0.001'
    )
  elif is_scaled:
    problem = 'its schedule has a number of epochs that was scaled to its length'
  if problem:
    raise InputError(
      f'{workdir} holds a run that finished at epoch {epochs:g} and cannot be trained longer: '
      f'{problem}; give another --workdir, perhaps with --config.init.source={workdir}'
    )


def schedule_start(workdir: pathlib.Path, new: ConfigDict) -> int:
  """The step at which the schedule of a configuration begins in a run: 0, or the end of a leg.

  Args:
    workdir: of the run; need not exist.
    new: the configuration that trains in it now.
  """
  legs = earlier(workdir)
  if (workdir / CONFIG).exists() and is_finished(workdir):
    legs = [*legs, workdir]
  schedules = [_schedule(leg) for leg in legs] + [leg_schedules.read(new.schedule.to_dict())]
  start = 0
  for leg, schedule, following in zip(legs, schedules, schedules[1:], strict=False):
    if schedule != following:
      start = _num_steps(leg)
  return start


def archive(workdir: pathlib.Path) -> None:
  """Copies what is known of a finished run into a new folder, which appears complete.

  Raises:
    OSError: the folder cannot be written.
  """
  if _is_archived(workdir):  # by a session that was killed right after that
    return
  last = max(map(_number, earlier(workdir)), default=0)
  final = workdir / f'leg{last + 1}'
  temporary = final.with_name(final.name + output_files.TEMPORARY_SUFFIX)
  own_files.remove(temporary)
  temporary.mkdir()
  for name in _COPIED:
    if name != METRICS or (workdir / name).exists():  # a run goes on without its records
      shutil.copy(workdir / name, temporary / name)
  output_files.sync_tree(temporary)
  temporary.rename(final)
  output_files.sync(workdir)


def clear(workdir: pathlib.Path) -> None:
  """Moves the outputs of an earlier leg out of the way, into its folder; removes its result.

  Called at each start, because a session may have been killed here, and an evaluation after that
  may have written the same outputs again. Without an earlier leg, or once the current one has a
  result, nothing is done.
  """
  if not (workdir / RESULT).exists() or is_finished(workdir):
    return
  for name in OUTPUTS:
    with contextlib.suppress(FileNotFoundError):
      (workdir / name).rename(own_files.unused(earlier(workdir)[-1] / name))
  (workdir / RESULT).unlink()


def describe(workdir: pathlib.Path, result: dict[str, Any]) -> list[dict[str, Any]]:
  """What the result of a run says of its legs, the last one included; `[]` if there is only one.

  Args:
    workdir: of the run.
    result: of the whole run.
  """
  every = [(folder, _read_result(folder)) for folder in earlier(workdir)] + [(workdir, result)]
  lengths = [values['num_epochs'] for _, values in every]
  # After a leg was given up, the result of the leg before it stands there twice.
  legs = [leg for i, leg in enumerate(every) if lengths[i] not in lengths[i + 1 :]]
  if len(legs) == 1:
    return []
  keys = ('num_epochs', 'num_steps', 'seconds', 'test', 'commit')
  return [
    {key: values[key] for key in keys if key in values} | {'schedule': _schedule(folder)}
    for folder, values in legs
  ]


def _number(leg: pathlib.Path) -> int:
  return int(leg.name[3:])


def _is_archived(workdir: pathlib.Path) -> bool:
  """Whether the result in a workdir is that of its last earlier leg.

  The files are compared: a leg may have as many steps as the one before it, as one of 3 epochs
  after one of 2.99.
  """
  folders = earlier(workdir)
  if not folders:
    return False
  of_leg, of_run = map(_checked_result, (folders[-1], workdir))
  return of_leg == of_run


def _num_epochs(folder: pathlib.Path) -> float:
  return float(read_config_dict(folder)['train']['num_epochs'])


def _read_result(folder: pathlib.Path) -> dict[str, Any]:
  """The result of a leg, which has its number of steps."""
  path = folder / RESULT
  result = read_object(path, _REMEDY)
  _check(path, contents.wrong_in_result(result, contents.RESULT_OF_LEG))
  return result


def _checked_result(folder: pathlib.Path) -> bytes:
  """The file of a result, which can be read."""
  _read_result(folder)
  return input_files.read_bytes(folder / RESULT)


def _check(path: pathlib.Path, wrong: str) -> None:
  """Raises InputError for what is wrong in a file of a leg, unless nothing is."""
  if wrong:
    raise InputError(f'{path}: {wrong} is missing or wrong: {_REMEDY}')


def _num_steps(folder: pathlib.Path) -> int:
  return int(_read_result(folder)['num_steps'])


def _schedule(folder: pathlib.Path) -> dict[str, Any]:
  """The keys that the schedule in a folder's configuration reads."""
  config = read_config_dict(folder)
  _check(folder / CONFIG, contents.wrong_value(config, contents.CONFIG_OF_LEG))
  return leg_schedules.read(contents.without_nulls(config, contents.CONFIG_OF_LEG)['schedule'])
