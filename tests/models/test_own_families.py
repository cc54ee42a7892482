"""`models.register`: families of one's own, and the one line for what is no classifier."""

import functools
import pathlib
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cifar_jax import models
from cifar_jax.models import families, registry
from cifar_jax.models.classifier import check_classifier
from tests.support.fake_cifar import message


class Tiny(nn.Module):
  """A net of Flax's layers with what a test sets wrong.

  Attributes:
    num_classes: number of classes.
    width: channels of the convolution.
    fault: what is wrong with the net.
  """

  num_classes: int = 10
  width: int = 4
  fault: str = ''

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> Any:
    """Maps images `[batch, height, width, 3]` to logits `[batch, num_classes]`."""
    x = nn.Conv(self.width, (3, 3), strides=4)(images)
    x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
    x = nn.Dropout(0.5, deterministic=not train)(x)
    if self.fault == 'memory':
      self.variable('memory', 'last', jnp.zeros, (1,))
    if self.fault == 'stream' and train:
      x += jax.random.normal(self.make_rng('noise'), x.shape)
    logits = nn.Dense(self.num_classes, name='head')(x.mean(axis=(1, 2)))
    if self.fault == 'pair':
      return logits, x
    if self.fault == 'classes in training' and train:
      return logits[:, 1:]
    return logits.astype(jnp.bfloat16) if self.fault == 'dtype' else logits


@pytest.fixture(autouse=True)
def other_families(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
  """Forgets after the test which families it has registered."""
  assert registry.FAMILIES
  monkeypatch.setattr(families, '_registered', dict(families._registered))
  yield


def test_a_class_is_made_by_its_name_with_its_fields() -> None:
  assert models.register('tiny')(Tiny) is Tiny
  assert models.create('tiny', num_classes=7, width=2) == Tiny(7, 2)
  assert models.own_family('tiny') and not models.own_family('resnet20')
  assert not models.is_loaded('tinier')
  words = ('no field', 'depth', 'fault, width')
  assert all(word in message(lambda: models.create('tiny', depth=3)) for word in words)
  assert 'no field dtype' in message(lambda: models.create('tiny', dtype='bfloat16'))
  assert 'nearest: tiny' in message(lambda: models.create('tinyy'))
  check_classifier(models.create('tiny'), (32, 32, 3))


def test_of_two_families_with_a_name_in_common_the_later_one_has_it() -> None:
  class Other(Tiny):
    pass

  patterns = {r'tiny_(?P<width>\d+)': Tiny, r'tiny_(?P<width>\d+)(?P<more>_more)?': Other}
  for pattern, kind in [*patterns.items(), *patterns.items()]:  # also where it is registered again

    def make(width: str, more: str | None = None, kind: type = kind, **fields: Any) -> Tiny:
      return kind(width=int(width), **fields)

    models.register(pattern)(make)
    assert type(models.create('tiny_4')) is kind


def test_a_function_gets_the_groups_of_the_name_and_a_later_family_replaces_it() -> None:
  def wide(width: str, **fields: Any) -> Tiny:
    return Tiny(width=int(width), **fields)

  def doubled(width: str, **fields: Any) -> Tiny:
    return Tiny(width=2 * int(width), **fields)

  for function, expected in ((wide, 6), (doubled, 12)):
    models.register(r'tiny(?P<width>\d+)', grammar='tiny{width}', names=['tiny4'])(function)
    assert models.create('tiny6') == Tiny(width=expected)
  assert 'tiny{width}' in message(lambda: models.create('tiny_6'))
  assert 'more than 6 digits' in message(lambda: models.create('tiny1234567'))


def test_published_errors_of_an_own_family_are_found() -> None:
  models.register('tiny', published={'tiny': registry.Published('me', cifar10=50.0)})(Tiny)
  assert models.published_error('tiny', 'cifar10') == {'error_percent': 50.0, 'source': 'me'}


def test_what_is_no_classifier_is_refused_in_one_line() -> None:
  class NoClasses(nn.Module):
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
      return images

  class NoTrain(nn.Module):
    num_classes: int = 10

    def __call__(self, images: jax.Array) -> jax.Array:
      return images

  def no_class(**fields: Any):  # type: ignore[no-untyped-def]
    return Tiny(**fields)

  for target, word in ((NoClasses, 'num_classes'), (NoTrain, 'train'), (no_class, '-> MyNet')):
    text = message(functools.partial(models.register('tiny'), target))
    assert word in text and 'tiny' in text and '\n' not in text


def test_names_of_the_package_are_not_replaced() -> None:
  models.register('resnet20')(Tiny)
  assert 'under another name' in message(lambda: models.create('resnet20'))
  assert type(models.create('resnet32')).__name__ == 'ResNet'


@pytest.mark.parametrize(
  ('fault', 'words'),
  [
    ('memory', ['variables memory', 'params and batch_stats']),
    ('pair', ['None', 'float32 [batch, 10]']),
    ('classes in training', ['(2, 9)']),
    ('dtype', ['bfloat16']),
    ('stream', ['another stream than dropout, drop_path, shake']),
  ],
)
def test_a_model_that_breaks_the_contract_is_refused_before_training(
  fault: str, words: list[str]
) -> None:
  text = message(lambda: check_classifier(Tiny(fault=fault), (32, 32, 3)))
  assert all(word in text for word in ['Tiny', *words]), text


def test_a_module_of_a_package_is_recorded_by_its_name(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  package = tmp_path / 'my_families_package'
  package.mkdir()
  (package / '__init__.py').touch()
  (package / 'nets.py').write_text(
    'from cifar_jax import models\nfrom tests.models.test_own_families import Tiny\n\n\n'
    "@models.register('tiny')\nclass Mine(Tiny):\n  pass\n"
  )
  monkeypatch.syspath_prepend(tmp_path)
  models.create('tiny', module='my_families_package.nets')
  assert models.module_of('tiny') == 'my_families_package.nets'
