"""Weights of a net with other fields, which have the same names and shapes, are a warning."""

import json
import logging
import pathlib

import pytest

from cifar_jax import models
from cifar_jax.config.initialization import InitSettings
from cifar_jax.convert import engine, files, initial_weights
from cifar_jax.runs.workdir import CONFIG
from cifar_jax.runtime.console import logger
from tests.support import fake_run
from tests.support.filled import filled_variables

PLAIN = models.create('resnet8')


@pytest.mark.parametrize('form', ['run', 'file'])
def test_weights_of_a_net_with_other_fields_are_a_warning(
  form: str,
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
) -> None:
  other = models.create('resnet8', shortcut='pool_pad', survival_probability=0.5)
  if form == 'run':
    options = ('model.shortcut=pool_pad', 'model.survival_probability=0.5')
    source = fake_run.make(tmp_path / 'source', tiny_cifar, *options)
  else:
    source = tmp_path / 'own.safetensors'
    about = {'model': 'resnet8', 'fields': 'shortcut=pool_pad,survival_probability=0.5'}
    files.write(source, engine.to_state_dict(filled_variables(other), other), about)
  settings = InitSettings(source=str(source))
  caplog.clear()
  with caplog.at_level(logging.WARNING, logger.name):
    initial_weights.read(settings, other, 32)
    assert not caplog.messages
    initial_weights.read(settings, PLAIN, 32)
  [line] = caplog.messages
  assert 'survival_probability=0.5' in line and 'shortcut=pool_pad' in line and str(source) in line


def test_nothing_is_executed_to_compare_a_source_of_an_own_module(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  source = fake_run.make(tmp_path / 'source', tiny_cifar)
  evil = tmp_path / 'evil.py'
  evil.write_text(f'open({str(tmp_path / "executed")!r}, "w").close()')
  config = json.loads((source / CONFIG).read_text())
  config['model'] |= {'name': 'evil_net', 'module': str(evil)}
  (source / CONFIG).write_text(json.dumps(config))
  initial_weights._warn_of_another_net(InitSettings(source=str(source)), source, PLAIN)
  assert not (tmp_path / 'executed').exists()
