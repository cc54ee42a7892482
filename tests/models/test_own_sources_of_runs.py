"""What a change of a file that an own module imports does to a run."""

import logging
import pathlib
from typing import Any

import pytest

from cifar_jax import models
from cifar_jax.models import families, own_module
from tests.models.own_code import NET


def test_a_change_of_what_a_module_imports_is_a_warning(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
  monkeypatch.setattr(families, '_registered', dict(families._registered))
  monkeypatch.setattr(own_module, 'LIST', str(tmp_path / 'list'))
  net, blocks = tmp_path / 'net.py', tmp_path / 'blocks_of_net.py'
  net.write_text(NET.format(imports='import blocks_of_net'))
  blocks.write_text('KIND = "relu"')

  def create() -> Any:
    return models.create('net_with_blocks', module=str(net))

  own_module.note(str(net))
  run_info = own_module.describe(create())
  with caplog.at_level(logging.WARNING, own_module.logger.name):
    own_module.check_permitted(str(net), 'net_with_blocks', tmp_path)
    own_module.warn_if_changed(create(), run_info)
    assert not caplog.messages
    blocks.write_text('KIND = "gelu"')
    own_module.check_permitted(str(net), 'net_with_blocks', tmp_path)
    own_module.warn_if_changed(create(), run_info)
  first, second = caplog.messages
  assert 'is not as it was when you trained with it' in first and 'has changed since' in second
