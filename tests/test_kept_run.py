"""A `Run` that a notebook keeps says what is there now."""

import pathlib
import shutil
import sys
from typing import Any

import numpy as np
import pytest

import cifar_jax
from cifar_jax.models import own_net
from tests.support import fake_run


@pytest.fixture
def workdir(tiny_cifar: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  return fake_run.make(tmp_path / 'run', tiny_cifar)


def test_its_test_images_are_those_of_the_run_that_is_there(
  workdir: pathlib.Path, tiny_cifar: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  truths = ['first', 'second']
  module: Any = sys.modules['cifar_jax.run']
  monkeypatch.setattr(module.result_scorecard, 'truth', lambda _: truths.pop(0))
  run: Any = cifar_jax.load_run(workdir)
  assert [run._truth, run._truth] == ['first', 'first']
  shutil.rmtree(workdir)
  fake_run.make(workdir, tiny_cifar)
  assert run._truth == 'second'


def test_each_prediction_looks_whether_an_own_net_has_changed(
  workdir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  run, calls = cifar_jax.load_run(workdir), list[Any]()
  picture = np.zeros((32, 32, 3), np.uint8)
  run.predict(picture)
  monkeypatch.setattr(own_net, 'warn_if_changed', lambda *arguments: calls.append(arguments))
  run.predict(picture)  # the net is kept
  [(net, run_info)] = calls
  assert net is None and 'data' in run_info
