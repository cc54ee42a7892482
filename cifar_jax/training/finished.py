"""What a finished run that is asked for again was made of, compared with what would be used now."""

import pathlib
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import data, models, paths
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import official_search
from cifar_jax.data.dataset import digests
from cifar_jax.data.official import OFFICIAL
from cifar_jax.errors import InputError
from cifar_jax.models import own_module
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
  result = read_result(workdir)
  now: dict[str, Any] = {provenance.CODE: package_code.digest()}
  if module := config.model.get('module'):
    now[own_module.KEY] = own_module.digest(module)
  else:
    now |= own_module.describe(models.create(**config.model))
  try:
    if _has_files(settings := DataSettings(**config.data)):
      now |= digests(data.load(settings))
  except InputError as error:
    logger.info('the data of the finished run cannot be compared: %s', error)
  names = {
    provenance.CODE: 'the code of this package',
    own_module.KEY: 'the code of the net',
    'data_sha256': 'the data',
  }
  # Of several sessions the last one counts. An earlier version lacks some.
  if changed := [
    name
    for key, name in names.items()
    if key in result and key in now and _last(result[key]) != now[key]
  ]:
    logger.warning(
      '%s was trained with something else than is here now (%s), and its numbers are those of '
      'then: give another workdir to train with what is here now',
      *(workdir, ', '.join(changed)),
    )


def _has_files(settings: DataSettings) -> bool:
  """Whether there are files of a data set, so that `data.load` downloads none."""
  if not settings.data_dir or not (place := paths.local(settings.data_dir)).exists():
    return False
  if settings.name in OFFICIAL:
    return settings.source == 'archive' and bool(
      official_search.find(place, OFFICIAL[settings.name])
    )
  return settings.name in data.READERS


def _last(digests_of_sessions: object) -> str:
  return str(digests_of_sessions).rpartition(', ')[2]
