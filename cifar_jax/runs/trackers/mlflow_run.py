"""A run in MLflow.

The library's environment variables hold: `MLFLOW_TRACKING_URI` is the server, and
`MLFLOW_EXPERIMENT_NAME` the experiment. Without a server the run is in the workdir, in `mlflow.db`
and, as for its files, in `mlflow/`. The library keeps the absolute path of that folder: a workdir
that was renamed gets another run, whose experiment has the new path in its name.

A parameter cannot be changed. What a later leg of the run changed has names of its own, such as
`leg2.schedule.name`, and its configuration is the file `leg2/config.json`.
"""

import os
import pathlib
import time
from collections.abc import Mapping

from ml_collections import ConfigDict
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from cifar_jax.config.loading import flatten, to_json
from cifar_jax.runs import leg_schedules, legs
from cifar_jax.runs.results import Record, scalars

_EXPERIMENT = 'cifar_jax'
_DATABASE, _FILES = 'mlflow.db', 'mlflow'


class MlflowRun:
  """A `Tracker`."""

  def __init__(self, workdir: pathlib.Path, config: ConfigDict, run_id: str | None) -> None:
    """Opens a run; arguments are those of `WandbRun`."""
    workdir = workdir.absolute()
    uri = os.environ.get('MLFLOW_TRACKING_URI')
    self._client = MlflowClient(uri or f'sqlite:///{workdir / _DATABASE}')
    files = None if uri else (workdir / _FILES).as_uri()
    if run_id is None or not self._has_files_in(files, run_id):
      self.run_id = self._create(workdir.name, config, files)
    else:
      self.run_id = run_id
      self._client.update_run(run_id, status='RUNNING')
    if earlier := legs.earlier(workdir):
      self._describe_leg(f'leg{len(earlier) + 1}', config)

  def _has_files_in(self, files: str | None, run_id: str) -> bool:
    """Whether a run has its files in a folder; True without a folder, on a server."""
    return files is None or self._client.get_run(run_id).info.artifact_uri.startswith(files)

  def _create(self, name: str, config: ConfigDict, files: str | None) -> str:
    """Creates a run with its configuration, as parameters and as a file.

    Args:
      name: of the run.
      config: the configuration.
      files: URI of the folder for files, if the service does not choose it.

    Returns:
      The id of the run.
    """
    experiment_name = os.environ.get('MLFLOW_EXPERIMENT_NAME', _EXPERIMENT)
    experiment = self._client.get_experiment_by_name(experiment_name)
    if experiment and files not in (None, experiment.artifact_location):
      experiment_name = f'{experiment_name} in {files}'
      experiment = self._client.get_experiment_by_name(experiment_name)
    if experiment:
      experiment_id = experiment.experiment_id
    else:
      experiment_id = self._client.create_experiment(experiment_name, artifact_location=files)
    run_id = self._client.create_run(experiment_id, run_name=name).info.run_id
    params = [Param(key, str(value)) for key, value in flatten(config).items()]
    self._client.log_batch(run_id, params=params)
    self._client.log_text(run_id, to_json(config), 'config.json')
    return run_id

  def _describe_leg(self, name: str, config: ConfigDict) -> None:
    """Sends the length and the schedule of a later leg: all else is that of the run.

    Each session does it again, because the service takes a parameter twice if its value is the
    same. A leg with another length or schedule has a run of its own.

    Args:
      name: of the leg.
      config: its configuration.
    """
    keys = [f'schedule.{key}' for key in leg_schedules.read(config.schedule.to_dict())]
    values = flatten(config)
    params = [Param(f'{name}.{key}', str(values[key])) for key in ('train.num_epochs', *keys)]
    self._client.log_batch(self.run_id, params=params)
    self._client.log_text(self.run_id, to_json(config), f'{name}/config.json')

  def write(self, record: Record) -> None:
    """Sends the scalars of a record."""
    now = int(1000 * time.time())
    metrics = [
      Metric(name, value, now, record['step'])
      for name, value in {'epoch': record['epoch'], **scalars(record)}.items()
    ]
    self._client.log_batch(self.run_id, metrics=metrics)

  def write_pictures(self, step: int, pictures: Mapping[str, pathlib.Path]) -> None:
    """Sends PNG files by their titles, after the last step."""
    for path in pictures.values():
      self._client.log_artifact(self.run_id, str(path), 'pictures')

  def close(self, *, is_finished: bool) -> None:
    """Ends the session; the service calls a run that will go on killed until then."""
    self._client.set_terminated(self.run_id, 'FINISHED' if is_finished else 'KILLED')
