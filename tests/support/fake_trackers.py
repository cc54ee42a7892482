"""Small modules in the place of `wandb` and `mlflow`, which keep in memory what they are sent."""

import dataclasses
import importlib.machinery
import sys
import types
from typing import Any

import pytest

from cifar_jax.runs.trackers import copies

NAMES = ('wandb', 'mlflow')


@dataclasses.dataclass
class Service:
  """What a service was sent, of all runs.

  Attributes:
    config: the configuration of the last new run.
    scalars: step, and names of the values that were sent together.
    pictures: the titles or file names of pictures.
    opened: the id of each session's run.
    closed: how each session was closed: an exit code, or the name of a status.
    is_down: whether sending fails.
    experiments: of MLflow, by their names.
    num_runs: number of runs.
  """

  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  scalars: list[tuple[int, tuple[str, ...]]] = dataclasses.field(default_factory=list)
  pictures: list[str] = dataclasses.field(default_factory=list)
  opened: list[str] = dataclasses.field(default_factory=list)
  closed: list[Any] = dataclasses.field(default_factory=list)
  is_down: bool = False
  experiments: dict[str, Any] = dataclasses.field(default_factory=dict)
  num_runs: int = 0

  def new_id(self) -> str:
    """The id of a new run: run1, run2, ..."""
    self.num_runs += 1
    return f'run{self.num_runs}'

  def check(self) -> None:
    """Raises ConnectionError where the service is down."""
    if self.is_down:
      raise ConnectionError('no route to host')


def install(monkeypatch: pytest.MonkeyPatch, name: str) -> Service:
  """Puts a module in the place of the library `name`; returns what it will have been sent."""
  service = Service()
  module = types.ModuleType(name)
  module.__spec__ = importlib.machinery.ModuleSpec(name, None)
  modules = {name: module}
  if name == 'wandb':
    _fill_wandb(module, service)
  else:
    modules['mlflow.entities'] = _fill_mlflow(module, service)
  for key, value in modules.items():
    monkeypatch.setitem(sys.modules, key, value)
  # So that the module that speaks to the library is imported anew, and forgotten after the test.
  monkeypatch.setitem(sys.modules, copies.CLASSES[name][0], types.ModuleType('forgotten'))
  del sys.modules[copies.CLASSES[name][0]]
  return service


def _fill_wandb(module: Any, service: Service) -> None:
  def init(*, id: str | None, config: dict[str, Any], **others: Any) -> Any:
    run_id = id or service.new_id()
    assert others['resume'] == ('allow' if id else None)
    service.check()
    service.config = config
    service.opened.append(run_id)

    def log(values: dict[str, Any]) -> None:
      service.check()
      service.pictures += [name for name, value in values.items() if isinstance(value, Image)]
      names = [name for name, value in values.items() if isinstance(value, float)]
      if names:
        service.scalars.append((values['step'], tuple(names)))

    def finish(exit_code: int) -> None:
      service.closed.append(exit_code)

    return types.SimpleNamespace(
      id=run_id, log=log, finish=finish, define_metric=lambda *_, **__: None
    )

  class Image:
    def __init__(self, path: str) -> None:
      self.path = path

  module.init, module.Image, module.Settings = init, Image, dict


def _fill_mlflow(module: Any, service: Service) -> types.ModuleType:
  runs: dict[str, Any] = {}

  class MlflowClient:
    def __init__(self, uri: str) -> None:
      assert uri

    def get_experiment_by_name(self, name: str) -> Any:
      return service.experiments.get(name)

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
      assert artifact_location and artifact_location.startswith('file:///')
      service.experiments[name] = types.SimpleNamespace(
        experiment_id=name, artifact_location=artifact_location
      )
      return name

    def create_run(self, experiment_id: str, run_name: str) -> Any:
      service.check()
      run_id = service.new_id()
      service.opened.append(run_id)
      location = service.experiments[experiment_id].artifact_location
      info = types.SimpleNamespace(run_id=run_id, artifact_uri=f'{location}/{run_id}')
      runs[run_id] = types.SimpleNamespace(info=info)
      return runs[run_id]

    def get_run(self, run_id: str) -> Any:
      return runs[run_id]

    def update_run(self, run_id: str, status: str) -> None:
      assert status == 'RUNNING'
      service.opened.append(run_id)

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
      service.check()
      service.config |= dict(params)
      if metrics:
        service.scalars.append((metrics[0][3], tuple(name for name, *_ in metrics)))

    def log_text(self, run_id: str, text: str, file: str) -> None:
      assert '"train"' in text

    def log_artifact(self, run_id: str, path: str, folder: str) -> None:
      service.check()
      service.pictures.append(path.rsplit('/', 1)[1])

    def set_terminated(self, run_id: str, status: str) -> None:
      service.closed.append(status)

  module.MlflowClient = MlflowClient
  entities: Any = types.ModuleType('mlflow.entities')
  entities.Metric = lambda key, value, timestamp, step: (key, value, timestamp, step)
  entities.Param = lambda key, value: (key, value)
  return entities
