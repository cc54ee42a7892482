"""Settings made before JAX starts: they are made once, and never over those of the user."""

import ctypes
import importlib
import importlib.metadata
import os
import pathlib
import sys
import types

import pytest

import cifar_jax
from cifar_jax import main
from cifar_jax.errors import InputError
from cifar_jax.runtime import console, processes, xla_flags
from cifar_jax.training import session
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
  monkeypatch.setattr(xla_flags, '_is_too_late', False)
  monkeypatch.setattr(xla_flags, 'num_processors', lambda: 6)
  for name in ('XLA_FLAGS', 'OMP_WAIT_POLICY', 'OMP_NUM_THREADS', *xla_flags.MALLOC):
    monkeypatch.setenv(name, '')  # so that it is set back after the test
    monkeypatch.delenv(name)
  return made


@pytest.mark.parametrize('version', ['0.10.2', '0.12.0.1'])
def test_settings_that_the_user_has_not_made_are_made(
  version: str, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: version)
  xla_flags.prepare()
  xla_flags.prepare()  # a second time adds nothing
  assert xla_flags.os.environ['XLA_FLAGS'] == (
    '--xla_cpu_experimental_ynn_fusion_type=-individual_convolution,-reduce'
  )
  assert set(calls) == set(xla_flags.MALLOC.values())
  settings = ['OMP_WAIT_POLICY=passive', 'OMP_NUM_THREADS=6']
  settings += [f'{name}={value}' for name, (_, value) in xla_flags.MALLOC.items()]
  flags = xla_flags.os.environ['XLA_FLAGS']
  assert xla_flags.describe() == f'set before JAX started: {flags} {" ".join(settings)}'


def test_the_settings_are_made_on_import_or_it_is_said_that_they_are_late(
  calls: Calls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
  started = True
  bridge = types.SimpleNamespace(backends_are_initialized=lambda: started)
  monkeypatch.setitem(sys.modules, 'jax._src.xla_bridge', bridge)
  importlib.reload(cifar_jax)
  assert 'JAX started before cifar_jax was imported' in caplog.text
  assert not calls and 'XLA_FLAGS' not in os.environ
  started = False
  caplog.clear()
  importlib.reload(cifar_jax)
  assert not caplog.text and calls and 'XLA_FLAGS' in os.environ


def test_a_gpu_that_has_started_is_not_made_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
  jax = types.SimpleNamespace(default_backend=lambda: 'gpu')
  bridge = types.SimpleNamespace(backends_are_initialized=lambda: True)
  monkeypatch.setitem(sys.modules, 'jax', jax)
  monkeypatch.setitem(sys.modules, 'jax._src.xla_bridge', bridge)
  monkeypatch.setenv('XLA_FLAGS', '')
  with pytest.raises(InputError, match='JAX has started without it: restart'):
    xla_flags.make_deterministic()
  jax.default_backend = lambda: 'cpu'
  xla_flags.make_deterministic()  # a CPU always is
  assert 'deterministic' in os.environ['XLA_FLAGS']
  jax.default_backend = lambda: 'gpu'
  xla_flags.make_deterministic()  # it was set before


def test_settings_of_the_user_stay(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
  flags = '--xla_cpu_experimental_ynn_fusion_type=dot --xla_cpu_use_onednn=true'
  monkeypatch.setenv('XLA_FLAGS', flags)
  monkeypatch.setenv('MALLOC_ARENA_MAX', '4')
  monkeypatch.setenv('OMP_WAIT_POLICY', 'active')
  monkeypatch.setenv('OMP_NUM_THREADS', '3')
  xla_flags.prepare()
  assert xla_flags.os.environ['XLA_FLAGS'] == flags and not calls
  assert os.environ['OMP_WAIT_POLICY'] == 'active' and os.environ['OMP_NUM_THREADS'] == '3'
  assert xla_flags.describe() == 'set before JAX started: nothing'


def test_an_untried_version_of_jaxlib_gets_no_flag(
  calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '0.11.0')
  xla_flags.prepare()
  assert 'XLA_FLAGS' not in xla_flags.os.environ


@pytest.mark.parametrize(
  ('quota', 'expected'),
  [('max 100000', 4), ('250000 100000', 2), ('1000 100000', 1), ('900000 100000', 4), (None, 4)],
)
def test_processors_are_those_of_the_affinity_and_the_quota(
  quota: str | None, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 2, 4, 6}, raising=False)
  monkeypatch.setattr(xla_flags, 'QUOTA', tmp_path / 'cpu.max')
  if quota:
    xla_flags.QUOTA.write_text(quota)
  assert xla_flags.num_processors() == expected


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


def test_without_jax_the_import_says_what_to_install(
  monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
  def missing(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, 'version', missing)
  with pytest.raises(ImportError, match=r'JAX is not installed for .*make demo'):
    xla_flags.prepare()
