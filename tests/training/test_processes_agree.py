"""Processes that do not run the same end before the first step, and say what differs."""

import concurrent.futures
import pathlib
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest

from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.models import own_net
from cifar_jax.runs import provenance
from cifar_jax.runtime import processes
from cifar_jax.training import session, start
from tests.support.paths import ROOT


class Threads:
  """Two threads that take themselves for the two processes of a run."""

  def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the place of JAX's client, of its state, and of the counter of messages."""
    self._local, self._texts = threading.local(), dict[str, str]()
    self._written, self._barrier = threading.Condition(), threading.Barrier(2, timeout=60)
    monkeypatch.setattr(processes, 'distributed', self)
    monkeypatch.setattr(processes, '_counter', self)

  @property
  def global_state(self) -> types.SimpleNamespace:
    index = self._local.index
    return types.SimpleNamespace(process_id=index, num_processes=2, client=self)

  def __next__(self) -> int:
    self._local.count += 1
    return self._local.count

  def key_value_set(self, name: str, text: str) -> None:
    with self._written:
      assert name not in self._texts
      self._texts[name] = text
      self._written.notify_all()

  def blocking_key_value_get(self, name: str, milliseconds: int) -> str:
    with self._written:
      assert self._written.wait_for(lambda: name in self._texts, 60)
      return self._texts[name]

  def wait_at_barrier(self, name: str, milliseconds: int) -> None:
    self._barrier.wait()

  def run(self, *calls: Callable[[], object]) -> list[str]:
    """Makes one call in each process; returns the messages of the errors that they raise."""

    def call(index: int) -> object:
      self._local.index, self._local.count = index, 0
      return calls[index]()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
      futures = [pool.submit(call, index) for index in range(2)]
      return [f'{type(f.exception()).__name__}: {f.exception()}' for f in futures]


def begin(workdir: pathlib.Path, data_dir: pathlib.Path, *overrides: str) -> Callable[[], object]:
  """The run that one process starts."""
  config = loading.load(f'{ROOT / "configs/resnet.py"}:depth=8')
  words = [f'data.data_dir={data_dir}', 'data.validation_size=40', 'sharding.num_devices=1']
  override(config, [f'--config.{word}' for word in (*words, *overrides)])
  return lambda: session.run(config, workdir)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
  return Threads(monkeypatch)


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
  """Makes training an error, so that a disagreement that is not noticed does not hang."""

  def fail(*_: object, **__: object) -> Any:
    raise AssertionError('the run began')

  monkeypatch.setattr(session, 'claim_workdir', fail)


def assert_both(messages: list[str], *words: str) -> None:
  """Checks that both processes raise the same error, in one line with these words."""
  assert messages[0] == messages[1]
  assert messages[0].startswith('InputError: process 1 does not run what process 0 runs: ')
  assert '\n' not in messages[0] and all(word in messages[0] for word in words), messages[0]


@pytest.mark.parametrize(
  ('key', 'first', 'second'),
  [
    ('seed', '0', '1'),
    ('schedule.learning_rate', '0.1', '0.2'),
    ('model.base_width', '16', '32'),
    ('checkpoint.every_steps', '0', '5'),
    ('sharding.num_devices', '1', '2'),
  ],
)
def test_processes_with_different_configurations_are_refused(
  threads: Threads, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, key: str, first: str,
  second: str,
) -> None:  # fmt: skip
  run = tmp_path / 'run'
  calls = [begin(run, tiny_cifar, f'{key}={value}') for value in (first, second)]
  assert_both(threads.run(*calls), f': {key} is {second}, not {first}; start all alike')
  assert not run.exists()


def test_processes_of_different_commits_or_versions_are_refused(
  threads: Threads, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: Any
) -> None:
  monkeypatch.setattr(provenance, 'commit', lambda _: f'commit{processes.is_first():d}')
  versions = [{'jax': '0.10.2', 'flax': '0.12'}, {'jax': '0.10.1', 'flax': '0.12'}]
  monkeypatch.setattr(provenance, 'versions', lambda: versions[not processes.is_first()])
  messages = threads.run(*2 * [begin(tmp_path / 'run', tiny_cifar)])
  assert_both(messages, "the commit is 'commit0', not 'commit1'; jax is '0.10.1', not '0.10.2';")
  assert 'flax' not in messages[0]


def test_processes_with_different_own_nets_are_refused(
  threads: Threads, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: Any
) -> None:
  monkeypatch.setattr(own_net, 'describe', lambda *_: f'net{processes.is_first():d}')
  messages = threads.run(*2 * [begin(tmp_path / 'run', tiny_cifar)])
  assert_both(messages, ": the own net is 'net0', not 'net1';")
  assert not (tmp_path / 'run').exists()


def test_processes_with_different_data_are_refused(
  threads: Threads, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  other = tmp_path / 'other' / 'cifar-10-batches-bin'
  other.mkdir(parents=True)
  for path in (tiny_cifar / other.name).iterdir():
    content = bytearray(path.read_bytes())
    content[0] = (content[0] + (path.name == 'test_batch.bin')) % 10  # another first label
    (other / path.name).write_bytes(content)
  run = tmp_path / 'run'
  messages = threads.run(begin(run, tiny_cifar), begin(run, other.parent))
  assert_both(messages, 'labels_crc32 of the data is [')
  assert not run.exists()


def test_processes_with_the_same_data_in_different_folders_go_on(
  threads: Threads, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  (tmp_path / 'link').symlink_to(tiny_cifar)
  run = tmp_path / 'run'
  messages = threads.run(begin(run, tiny_cifar), begin(run, tmp_path / 'link'))
  assert messages == 2 * ['AssertionError: the run began']


def test_a_process_that_sees_other_checkpoints_is_refused(threads: Threads) -> None:
  def begin(latest: int | None) -> Callable[[], object]:
    checkpoints: Any = types.SimpleNamespace(latest=latest)
    return lambda: start.first_or_latest_state(None, checkpoints, None)  # type: ignore[arg-type]

  assert_both(threads.run(begin(30), begin(None)), 'the newest checkpoint is None, not 30')
