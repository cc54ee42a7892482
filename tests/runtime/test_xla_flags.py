"""Settings made before JAX starts: they are made once, and never over those of the user."""

import ctypes
import importlib.metadata
import sys

import pytest

from cifar_jax import main
from cifar_jax.runtime import console, processes, xla_flags
from cifar_jax.train import session
from tests.support.bad_input import RESNET

DETERMINISTIC = '--config.train.deterministic={}'

Calls = list[tuple[int, int]]  # parameter and value of each call of mallopt


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
  """The calls of mallopt, in an environment without settings."""
  made: Calls = []

  class Library:
    def mallopt(self, parameter: int, value: int) -> None:
      made.append((parameter, value))

  monkeypatch.setattr(ctypes, 'CDLL', lambda name: Library())
  monkeypatch.setattr(sys, 'platform', 'linux')
  monkeypatch.setattr(xla_flags, '_settings_made', [])
  for name in ('XLA_FLAGS', *xla_flags.MALLOC):
    monkeypatch.delenv(name, raising=False)
  return made


@pytest.mark.parametrize('version', ['0.10.2', '0.12.0.1'])
def test_settings_that_the_user_has_not_made_are_made(
  version: str, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: version)
  xla_flags.prepare()
  xla_flags.prepare()  # a second time adds nothing
  assert xla_flags.os.environ['XLA_FLAGS'] == (
    '--xla_cpu_experimental_ynn_fusion_type=-individual_convolution'
  )
  assert set(calls) == set(xla_flags.MALLOC.values())
  settings = [f'{name}={value}' for name, (_, value) in xla_flags.MALLOC.items()]
  flags = xla_flags.os.environ['XLA_FLAGS']
  assert xla_flags.describe() == f'set before JAX started: {flags} {" ".join(settings)}'


def test_settings_of_the_user_stay(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
  flags = '--xla_cpu_experimental_ynn_fusion_type=dot --xla_cpu_use_onednn=true'
  monkeypatch.setenv('XLA_FLAGS', flags)
  monkeypatch.setenv('MALLOC_ARENA_MAX', '4')
  xla_flags.prepare()
  assert xla_flags.os.environ['XLA_FLAGS'] == flags and not calls
  assert xla_flags.describe() == 'set before JAX started: nothing'


def test_an_untried_version_of_jaxlib_gets_no_flag(
  calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '0.11.0')
  xla_flags.prepare()
  assert 'XLA_FLAGS' not in xla_flags.os.environ


def test_mallopt_is_called_only_on_linux(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(sys, 'platform', 'darwin')
  xla_flags.prepare()
  assert not calls


@pytest.mark.parametrize(
  'environment,key,expected',
  [
    ('', 'true', '--xla_gpu_deterministic_ops=true'),
    ('', 'false', ''),
    ('--xla_gpu_deterministic_ops=false', 'true', '--xla_gpu_deterministic_ops=false'),
  ],
)
def test_the_key_deterministic_sets_the_flag_unless_the_user_has(
  calls: Calls,
  monkeypatch: pytest.MonkeyPatch,
  environment: str,
  key: str,
  expected: str,
) -> None:
  monkeypatch.setenv('XLA_FLAGS', environment)
  monkeypatch.setattr(sys, 'argv', ['main', '--config', RESNET, DETERMINISTIC.format(key)])
  monkeypatch.setattr(console, 'to_console', lambda: None)
  monkeypatch.setattr(processes, 'start', lambda *_: None)
  flags: list[str] = []
  monkeypatch.setattr(session, 'run', lambda *_: flags.append(xla_flags.os.environ['XLA_FLAGS']))
  main.main()
  assert flags == [expected]
