"""The digest of a user's own net: it is of what the net computes, wherever that is defined."""

import logging
import os
import pathlib
import re
import subprocess
import sys
import types
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cifar_jax import models
from cifar_jax.models import families, own_net
from cifar_jax.models.own_net import OwnNet
from tests.support.paths import ROOT

SHAPE = 32, 32, 3
NET = """
import flax.linen as nn
import jax
from cifar_jax import models

SCALE = 1.0

@models.register('digested')
class Net(nn.Module):
  num_classes: int = 10
  width: int = 8

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.Conv(self.width, (3, 3))(images)
    x = nn.BatchNorm(use_running_average=not train)(x)
    x = SCALE * ACTIVATION(x)
    x = nn.Dropout(0.1, deterministic=not train)(x)
    return nn.Dense(self.num_classes, name='head')(x.mean(axis=(1, 2)))

ACTIVATION = nn.relu
"""


@pytest.fixture(autouse=True)
def own_families(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(families, '_registered', dict(families._registered))


def own(name: str, shape: tuple[int, ...] = SHAPE, **fields: Any) -> OwnNet:
  family = models.own_family(name)
  assert family
  return OwnNet(family, models.create(name, **fields), shape)


def digest(text: str, shape: tuple[int, ...] = SHAPE, **fields: Any) -> str:
  """The digest of a net that the cells of a notebook define."""
  notebook = types.ModuleType('notebook')
  sys.modules['notebook'] = notebook
  try:
    exec(text, vars(notebook))
    return own_net.describe(own('digested', shape, **fields))
  finally:
    del sys.modules['notebook']


def test_a_net_of_the_package_has_no_digest() -> None:
  assert models.own_family('resnet20') is None and own_net.describe(None) == ''


@pytest.mark.parametrize(
  ('old', 'new'),
  [
    ('SCALE = 1.0', 'SCALE = 1.0\nUNUSED = 2.0  # a comment'),
    ('SCALE = 1.0', 'SCALE = sum([0.5, 0.5])'),
    ('x = SCALE * ACTIVATION(x)', 'y = ACTIVATION(x)\n    x = SCALE * y'),
  ],
)
def test_another_text_of_the_same_net_has_the_same_digest(old: str, new: str) -> None:
  assert old in NET
  assert digest(NET.replace(old, new)) == digest(NET)


@pytest.mark.parametrize(
  ('old', 'new'),
  [
    ('SCALE = 1.0', 'SCALE = 2.0'),
    ('SCALE = 1.0', 'import numpy as np\nSCALE = np.arange(8.0)'),
    ('ACTIVATION = nn.relu', 'ACTIVATION = nn.gelu'),
    ('ACTIVATION = nn.relu', 'import functools\nACTIVATION = functools.partial(nn.elu, alpha=2)'),
    (
      'ACTIVATION = nn.relu',
      'ACTIVATION = jax.custom_jvp(nn.relu)\nACTIVATION.defjvp(lambda x, dx: (x[0], 2 * dx[0]))',
    ),
    ("name='head'", "name='head', kernel_init=nn.initializers.he_normal()"),
    ("name='head'", "name='tail'"),
    ('nn.Dropout(0.1,', 'nn.Dropout(0.2,'),  # of the training alone
    ('deterministic=not train', 'deterministic=True'),
    ('use_running_average=not train', 'use_running_average=not train, momentum=0.9'),
  ],
)
def test_all_that_a_net_computes_with_belongs_to_its_digest(old: str, new: str) -> None:
  assert old in NET
  other = digest(NET.replace(old, new))
  assert re.fullmatch(rf'[0-9a-f]{{64}} by JAX {jax.__version__}', other)
  assert other != digest(NET)


def test_fields_and_images_belong_to_the_digest() -> None:
  digests = digest(NET), digest(NET, width=4), digest(NET, (28, 28, 3))
  assert len(set(digests)) == 3


def test_the_digest_is_the_same_in_each_process_whatever_its_devices_and_settings() -> None:
  code = 'from tests.models import test_own_net as t\nprint(t.digest(t.NET), t.__file__)'
  environment = os.environ | {
    'PYTHONPATH': str(ROOT),
    'PYTHONHASHSEED': '7',
    'XLA_FLAGS': '--xla_force_host_platform_device_count=4',
    'JAX_DEFAULT_MATMUL_PRECISION': 'highest',
    'CIFAR_JAX_CPU_CONV': 'xla',
  }
  command = [sys.executable, '-c', code]
  output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
  assert output.stdout.startswith(f'{digest(NET)} ')


@pytest.mark.parametrize(
  ('earlier', 'now', 'what'),
  [
    ('a by JAX 1', 'a by JAX 1', ''),
    ('a by JAX 1', 'b by JAX 1', 'the code of the net'),
    ('a by JAX 1', 'b by JAX 2', 'the version of JAX'),
    (own_net.UNKNOWN, 'b by JAX 1', ''),
    ('a by JAX 1', own_net.UNKNOWN, ''),
  ],
)
def test_what_has_changed(earlier: str, now: str, what: str) -> None:
  assert own_net.change(earlier, now) == what


def test_a_net_that_cpus_cannot_run_has_no_digest(caplog: pytest.LogCaptureFixture) -> None:
  kernel = 'pl.pallas_call(lambda i, o: o.__setitem__(..., i[...]), out_shape=x)(x)'
  text = NET.replace('ACTIVATION(x)', kernel).replace('(x.mean', '(jax.lax.stop_gradient(x).mean')
  with caplog.at_level(logging.INFO, own_net.logger.name):
    assert digest(f'from jax.experimental import pallas as pl\n{text}') == own_net.UNKNOWN
  assert 'changes of the net will not be noticed' in caplog.text


def test_the_last_session_counts(
  monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: pathlib.Path
) -> None:
  @models.register('digested')
  class Net(nn.Module):
    num_classes: int = 10

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
      return nn.Dense(self.num_classes)(jnp.mean(images, axis=(1, 2)))

  first, second = own_net.describe(own('digested')), 'b by JAX 1'
  for sessions, is_warning in (([], 0), ([first], 0), ([second, first], 0), ([first, second], 1)):
    caplog.clear()
    own_net.warn_if_changed(own('digested'), {own_net.KEY_OF_SESSIONS: sessions})
    assert len(caplog.messages) == is_warning
  own_net.warn_if_changed(own('digested'), {})  # of an earlier version


def test_a_net_of_a_class_below_that_of_its_family_has_a_digest() -> None:
  text = (
    NET.replace("@models.register('digested')\n", '')
    + """
class Gelu(Net):
  pass

@models.register('digested')
def make(num_classes=10, width=8) -> Net:
  return Gelu(num_classes=num_classes, width=width)
"""
  )
  first = digest(text)
  assert first and digest(text.replace('SCALE = 1.0', 'SCALE = 2.0')) != first


def test_a_net_is_traced_once_until_it_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
  family = families.Family('a', 'a', (), {}, nn.Dense, nn.Dense, '')
  net, programs = OwnNet(family, nn.Dense(10), SHAPE), ['first', 'second']
  monkeypatch.setattr(own_net, '_program', lambda *_: programs.pop(0))
  first = own_net.describe(net)
  assert own_net.origin(net) == {own_net.KEY: first}
  assert own_net.describe(own_net.as_it_is_now(net)) not in ('', first)
  assert own_net.as_it_is_now(None) is None and not programs
