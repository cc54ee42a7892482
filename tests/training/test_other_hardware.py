"""A run that continues on other hardware says that its bits will differ."""

import logging
import pathlib
from typing import Any

import jax
import numpy as np
import pytest

from cifar_jax.experiment.experiment import build
from cifar_jax.runs import provenance
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import CHECKPOINTS, read_config
from cifar_jax.runtime import package_code, xla_flags
from cifar_jax.training import code_of_sessions, start
from tests.support import fake_run


@pytest.fixture
def run(tiny_cifar: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  """A run of an early version, which recorded neither its hardware nor its software."""
  return fake_run.make(tmp_path / 'run', tiny_cifar)


@pytest.mark.ci
def test_a_run_that_continues_on_other_hardware_warns(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
  experiment = build(read_config(run))
  caplog.set_level(logging.WARNING)
  with Checkpoints(run / CHECKPOINTS, experiment.checkpoint_settings) as checkpoints:

    def resume(num_cores: int) -> dict[str, Any]:
      caplog.clear()
      monkeypatch.setattr(xla_flags, 'num_processors', lambda: num_cores)
      monkeypatch.setattr('os.cpu_count', lambda: 8)
      state: Any
      state, run_info = start.first_or_latest_state(experiment, checkpoints, 'a')
      step = state.num_steps + 1
      state = state.replace(step=jax.numpy.int32(step))
      checkpoints.save(step, state, run_info=run_info)
      checkpoints.wait()
      return run_info

    resume(2)  # the first checkpoint is from a version that did not record its hardware
    assert not caplog.text
    resume(2)
    assert not caplog.text
    run_info = resume(1)
    assert 'the run was on 1 x cpu' in caplog.text and 'rounding' in caplog.text
    assert caplog.text.count(' cores') == 2
    resume(1)
    assert not caplog.text
  assert run_info['hardware'].startswith('1 x cpu, ') and ' 1 of 8 cores' in run_info['hardware']


def test_a_run_that_continues_with_other_software_warns(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
  experiment = build(read_config(run))
  with Checkpoints(
    run / CHECKPOINTS, experiment.checkpoint_settings, read_only=True
  ) as checkpoints:
    state, run_info = start.first_or_latest_state(experiment, checkpoints, 'a')
    monkeypatch.setattr(checkpoints, 'restore', lambda *_: (state, dict(run_info)))
    for library, is_warned in (
      ('another', True),
      (run_info['software']['the library of convolutions'], False),
    ):
      caplog.clear()
      monkeypatch.setattr(start.layers, 'library_of_convolutions', lambda: library)  # noqa: B023
      start.first_or_latest_state(experiment, checkpoints, 'a')
      assert ('the library of convolutions was' in caplog.text) == is_warned
    monkeypatch.setattr(provenance, 'own_version', lambda: {'cifar_jax': '9.9'})
    code = package_code.digest()
    monkeypatch.setattr(package_code, 'digest', lambda: 'def')
    _, run_info = start.first_or_latest_state(experiment, checkpoints, 'b')
    assert all(f'is now {new}' in caplog.text for new in ('9.9', 'b', 'def'))
    named = code_of_sessions.in_result(run_info)
    assert named == {'commit': 'a, b', 'code': f'{code}, def'}
    monkeypatch.setattr(checkpoints, 'restore', lambda *_: (state, dict(run_info)))
    _, back = start.first_or_latest_state(experiment, checkpoints, 'a')
    assert code_of_sessions.in_result(back)['commit'] == 'a, b, a'  # the last one counts
    unknown = code_of_sessions.in_result(run_info | {'commits': [None, 'b']})
    assert unknown['commit'] == 'unknown, b'
    assert code_of_sessions.in_result(run_info | {'commits': [None]})['commit'] is None


def test_instructions_and_settings_of_libraries_are_recorded(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  for name in ('ONEDNN_MAX_CPU_ISA', 'XLA_FLAGS', 'JAX_PLATFORMS'):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setattr(
    provenance, '_cpuinfo', lambda *keys: ['fpu sse2 smep avx512f avx2 apic', 'sse2']
  )
  name = 'the variables of XLA and oneDNN'
  expected = {"the processor's instructions": 'avx2 avx512f sse2', name: 'none'}
  expected |= {'the precision of products': 'None', 'the debugging switches of JAX': 'none'}
  assert provenance.arithmetic() == expected
  jax.config.update('jax_disable_most_optimizations', True)
  switches = provenance.arithmetic()['the debugging switches of JAX']
  jax.config.update('jax_disable_most_optimizations', False)
  assert switches == 'jax_disable_most_optimizations'
  with jax.disable_jit():
    assert provenance.arithmetic()['the debugging switches of JAX'] == 'jax_disable_jit'
  with jax.default_matmul_precision('highest'):
    assert provenance.arithmetic()['the precision of products'] == 'highest'
  monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', 'AVX2')
  monkeypatch.setenv('XLA_FLAGS', '--xla_cpu_enable_fast_math=true')
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')  # rounds nothing
  words = 'ONEDNN_MAX_CPU_ISA=AVX2 XLA_FLAGS=--xla_cpu_enable_fast_math=true'
  assert sorted(provenance.arithmetic()[name].split()) == words.split()
  assert provenance.arithmetic().items() <= start._software(None).items()


def test_the_hardware_of_an_accelerator_does_not_depend_on_the_cores(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  class Device:
    platform = device_kind = 'gpu'

  monkeypatch.setattr(jax, 'devices', lambda: [Device()])
  mesh: Any = type('FakeMesh', (), {'devices': np.array([Device()] * 2), 'size': 2})
  assert provenance.hardware(mesh) == '2 x gpu'
