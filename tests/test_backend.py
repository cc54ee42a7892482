"""What is set before JAX starts, and what of the user's is left alone."""

import ctypes
import importlib.metadata
import sys

import pytest

from cifar_jax import backend


@pytest.fixture
def calls(monkeypatch):
  """The calls of mallopt, in an environment without settings."""
  made = []

  class Library:
    def mallopt(self, parameter, value):
      made.append((parameter, value))

  monkeypatch.setattr(ctypes, 'CDLL', lambda name: Library())
  monkeypatch.setattr(sys, 'platform', 'linux')
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


def test_what_a_user_has_set_stays(calls, monkeypatch):
  flags = '--xla_cpu_experimental_ynn_fusion_type=dot --xla_cpu_use_onednn=true'
  monkeypatch.setenv('XLA_FLAGS', flags)
  monkeypatch.setenv('MALLOC_ARENA_MAX', '4')
  backend.prepare()
  assert backend.os.environ['XLA_FLAGS'] == flags and not calls


def test_a_version_that_was_not_tried_gets_no_flag(calls, monkeypatch):
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '0.11.0')
  backend.prepare()
  assert 'XLA_FLAGS' not in backend.os.environ


def test_elsewhere_than_on_linux_there_is_no_mallopt(calls, monkeypatch):
  monkeypatch.setattr(sys, 'platform', 'darwin')
  backend.prepare()
  assert not calls
