"""The weights of a run that someone has changed: refused before a huge array is made of them."""

import functools
import math
import pathlib
import shutil
from typing import Any

import pytest

from cifar_jax import models
from cifar_jax.config.initialization import InitSettings
from cifar_jax.convert import initial_weights
from cifar_jax.runs.workdir import CHECKPOINTS
from tests.support import fake_run
from tests.support.fake_cifar import message
from tests.support.hostile_checkpoints import change_arrays

RESNET8 = models.create('resnet8')


@pytest.fixture(scope='module')
def run(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run of a ResNet-8 with the checkpoint 3."""
  return fake_run.make(tmp_path_factory.mktemp('source') / 'run', tiny_cifar)


@pytest.mark.parametrize(
  ('head', 'changes', 'words'),
  [
    ('keep', {'shape': [1 << 50], 'chunks': [1]}, 'params/head/bias is [1125899906842624]'),
    ('new', {'shape': [1 << 50], 'chunks': [1]}, 'last layer has more than a GiB'),
    ('keep', {'chunks': [1 << 50]}, 'has a piece of'),
    ('keep', {'dtype': '<i4'}, 'params/head/bias is int32, not a float'),
  ],
)
def test_arrays_of_a_run_are_looked_at_before_they_are_read(
  head: str, changes: dict[str, Any], words: str, run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  """What TensorStore makes of the small file of a huge array would be larger than the memory."""
  source = pathlib.Path(shutil.copytree(run, tmp_path / 'source'))
  change_arrays(source / CHECKPOINTS / '3', 'params.head.bias', changes)
  settings = InitSettings(source=str(source), head=head)
  for read in (initial_weights.read, initial_weights.digest):
    text = message(functools.partial(read, settings, RESNET8, 32))
    assert words in text and '\n' not in text, text


def test_values_that_no_trained_net_has_are_refused_in_a_run_too(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  source = fake_run.make(tmp_path / 'source', tiny_cifar, sharpness=math.nan)
  settings = InitSettings(source=str(source))
  assert 'not finite' in message(lambda: initial_weights.read(settings, RESNET8, 32))
