"""What is set before JAX starts, and what of the user's is left alone."""

import ctypes
import importlib.metadata
import sys

import pytest
from bad_input import RESNET

from cifar_jax import backend, main, processes, progress, train

DETERMINISTIC = '--config.train.deterministic={}'


@pytest.fixture
def calls(monkeypatch):
  """The calls of mallopt, in an environment without settings."""
  made = []

  class Library:
    def mallopt(self, parameter, value):
      made.append((parameter, value))

  monkeypatch.setattr(ctypes, 'CDLL', lambda name: Library())
  monkeypatch.setattr(sys, 'platform', 'linux')
  monkeypatch.setattr(backend, '_done', [])
  for name in ('XLA_FLAGS', *backend.MALLOC):
    monkeypatch.delenv(name, raising=False)
  return made


@pytest.mark.parametrize('version', ['0.10.2', '0.12.0.1'])
def test_what_a_user_has_not_set_is_set(version, calls, monkeypatch):
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: version)
  backend.prepare()
  backend.prepare()  # a second time adds nothing
  assert backend.os.environ['XLA_FLAGS'] == (
    '--xla_cpu_experimental_ynn_fusion_type=-individual_convolution'
  )
  assert set(calls) == set(backend.MALLOC.values())
  settings = [f'{name}={value}' for name, (_, value) in backend.MALLOC.items()]
  flags = backend.os.environ['XLA_FLAGS']
  assert backend.told() == f'set before JAX started: {flags} {" ".join(settings)}'


def test_what_a_user_has_set_stays(calls, monkeypatch):
  flags = '--xla_cpu_experimental_ynn_fusion_type=dot --xla_cpu_use_onednn=true'
  monkeypatch.setenv('XLA_FLAGS', flags)
  monkeypatch.setenv('MALLOC_ARENA_MAX', '4')
  backend.prepare()
  assert backend.os.environ['XLA_FLAGS'] == flags and not calls
  assert backend.told() == 'set before JAX started: nothing'


def test_a_version_that_was_not_tried_gets_no_flag(calls, monkeypatch):
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '0.11.0')
  backend.prepare()
  assert 'XLA_FLAGS' not in backend.os.environ


def test_elsewhere_than_on_linux_there_is_no_mallopt(calls, monkeypatch):
  monkeypatch.setattr(sys, 'platform', 'darwin')
  backend.prepare()
  assert not calls


@pytest.mark.parametrize(
  'own,asked,expected',
  [
    ('', 'true', '--xla_gpu_deterministic_ops=true'),
    ('', 'false', ''),
    ('--xla_gpu_deterministic_ops=false', 'true', '--xla_gpu_deterministic_ops=false'),
  ],
)
def test_a_configuration_asks_for_deterministic_kernels(calls, monkeypatch, own, asked, expected):
  monkeypatch.setenv('XLA_FLAGS', own)
  monkeypatch.setattr(sys, 'argv', ['main', '--config', RESNET, DETERMINISTIC.format(asked)])
  monkeypatch.setattr(progress, 'to_console', lambda: None)
  monkeypatch.setattr(processes, 'start', lambda *_: None)
  flags = []
  monkeypatch.setattr(train, 'run', lambda *_: flags.append(backend.os.environ['XLA_FLAGS']))
  main.main()
  assert flags == [expected]
