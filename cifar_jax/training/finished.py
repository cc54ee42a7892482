"""What a finished run that is asked for again was made of, compared with what would be used now."""

import pathlib
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import data, paths
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import official_search
from cifar_jax.data.dataset import digests
from cifar_jax.data.official import OFFICIAL
from cifar_jax.errors import InputError
from cifar_jax.evaluation import restore
from cifar_jax.experiment.experiment import build
from cifar_jax.models import own_net
from cifar_jax.runs import provenance
from cifar_jax.runs.results import read_result
from cifar_jax.runtime import package_code
from cifar_jax.runtime.console import logger


def warn_of_changes(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Logs a warning if the same command, in a new workdir, would train another net now.

  Data are compared if they are in the files of `data.data_dir`: nothing is downloaded. They need
  not be there any more.

  Args:
    workdir: of the run, which has a result.
    config: the configuration that was given now; nothing but the places of data and module may
      differ.
  """
  result = read_result(workdir)  # an earlier version says less
  changes = []
  for find in _change_of_code, _change_of_net, _change_of_data:
    try:
      changes.append(find(workdir, config, result))
    except InputError as error:
      logger.info('not all of the finished run can be compared: %s', error)
  if any(changes):
    logger.warning(
      '%s was trained with something else than is here now (%s), and its numbers are those of '
      'then: give another workdir to train with what is here now',
      *(workdir, ', '.join(filter(None, changes))),
    )


def _change_of_code(_: pathlib.Path, __: ConfigDict, result: dict[str, Any]) -> str:
  is_same = _last(result, provenance.CODE) in ('', package_code.digest())
  return '' if is_same else 'the code of this package'


def _change_of_net(workdir: pathlib.Path, config: ConfigDict, result: dict[str, Any]) -> str:
  if not (earlier := _last(result, own_net.KEY)):
    return ''
  experiment = build(config, restore.describe_data(workdir, 'last', config))
  return own_net.change(earlier, own_net.describe(experiment.model, experiment.image_shape))


def _change_of_data(_: pathlib.Path, config: ConfigDict, result: dict[str, Any]) -> str:
  settings = DataSettings(**config.data)
  if 'data_sha256' not in result or not _has_files(settings):
    return ''
  is_same = result['data_sha256'] == digests(data.load(settings))['data_sha256']
  return '' if is_same else 'the data'


def _last(result: dict[str, Any], key: str) -> str:
  """What a result says of the last of a run's sessions; '' if it says nothing."""
  return str(result.get(key, '')).rpartition(', ')[2]


def _has_files(settings: DataSettings) -> bool:
  """Whether there are files of a data set, so that `data.load` downloads none."""
  if not settings.data_dir or not (place := paths.local(settings.data_dir)).exists():
    return False
  if settings.name in OFFICIAL:
    return settings.source == 'archive' and bool(
      official_search.find(place, OFFICIAL[settings.name])
    )
  return settings.name in data.READERS
