"""What a finished run that is asked for again was made of, compared with what would be used now."""

import pathlib
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import data, paths
from cifar_jax.config.dataset import DataSettings
from cifar_jax.config.initialization import InitSettings
from cifar_jax.convert import initial_weights
from cifar_jax.data import official_search
from cifar_jax.data.dataset import digests
from cifar_jax.data.official import OFFICIAL
from cifar_jax.errors import InputError
from cifar_jax.evaluation import restore
from cifar_jax.experiment.experiment import Experiment, build
from cifar_jax.models import own_net
from cifar_jax.runs import provenance
from cifar_jax.runs.results import read_result
from cifar_jax.runs.workdir import read_config
from cifar_jax.runtime import package_code
from cifar_jax.runtime.console import logger


def warn_of_changes(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Logs a warning if the same command, in a new workdir, would train another net now.

  Data are compared if they are in the files of `data.data_dir`: nothing is downloaded. They and the
  initial weights need not be there any more.

  Args:
    workdir: of the run, which has a result.
    config: the configuration that was given now; nothing but the places of data and module may
      differ.
  """
  result = read_result(workdir)  # an earlier version says less
  changes = []
  for find in _change_of_code, _change_of_net, _change_of_data, _change_of_weights:
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
  return own_net.change(earlier, own_net.describe(_without_images(workdir, config).own_net))


def _change_of_data(workdir: pathlib.Path, config: ConfigDict, result: dict[str, Any]) -> str:
  settings = DataSettings(**config.data)
  if 'data_sha256' not in result:
    return ''
  if not _has_files(settings):
    is_same_place = settings.data_dir == read_config(workdir).data.data_dir
    return '' if is_same_place else f'perhaps the data: none in {settings.data_dir} to compare'
  is_same = result['data_sha256'] == digests(data.load(settings))['data_sha256']
  return '' if is_same else 'the data'


def _change_of_weights(workdir: pathlib.Path, config: ConfigDict, result: dict[str, Any]) -> str:
  settings = InitSettings(**config.init)
  if initial_weights.KEY not in result or not paths.local(settings.source).exists():
    return ''
  experiment = _without_images(workdir, config)
  now = initial_weights.digest(settings, experiment.model, experiment.image_shape[0])
  return '' if now == initial_weights.digest_in(result) else 'the initial weights'


def _without_images(workdir: pathlib.Path, config: ConfigDict) -> Experiment:
  """The experiment of a configuration, for the data of a run as its checkpoint describes them."""
  return build(config, restore.describe_data(workdir, 'last', config))


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
