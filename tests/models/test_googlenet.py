"""GoogLeNet: counts layer by layer, four branches, and auxiliary classifiers of training only."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.random_images import make_experiment
from cifar_jax import augment, models
from cifar_jax.augment.statistics import Statistics
from cifar_jax.config import loading
from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.config.optimization import LossSettings
from cifar_jax.experiment import losses, metrics
from cifar_jax.experiment.epoch_order import order_of_epoch
from cifar_jax.experiment.state import create_state
from cifar_jax.experiment.train_step import make_train_step
from cifar_jax.models import googlenet, layers
from cifar_jax.models.classifier import STREAMS
from cifar_jax.runtime.devices import replicate
from tests.models import exact_counts
from tests.support import fill
from tests.support.fake_cifar import message
from tests.support.paths import ROOT

# Table 1: the input's channels; 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool projection.
TABLE = {
  '3a': (192, 64, 96, 128, 16, 32, 32),
  '3b': (256, 128, 128, 192, 32, 96, 64),
  '4a': (480, 192, 96, 208, 16, 48, 64),
  '4b': (512, 160, 112, 224, 24, 64, 64),
  '4c': (512, 128, 128, 256, 24, 64, 64),
  '4d': (512, 112, 144, 288, 32, 64, 64),
  '4e': (528, 256, 160, 320, 32, 128, 128),
  '5a': (832, 256, 160, 320, 32, 128, 128),
  '5b': (832, 384, 192, 384, 48, 128, 128),
}


def convolutions(name: str, five: str) -> Iterator[tuple[int, int, int]]:
  """Size, input and output channels of each convolution, without the auxiliary classifiers'."""
  yield from [(3, 3, 192)] if name == 'googlenet' else [(7, 3, 64), (1, 64, 64), (3, 64, 192)]
  for inputs, one, three_reduce, three, five_reduce, last, pool in TABLE.values():
    yield from ((1, inputs, one), (1, inputs, three_reduce), (3, three_reduce, three))
    yield from ((1, inputs, five_reduce), (1, inputs, pool))
    sizes = {'5x5': [5], '3x3': [3], '3x3_3x3': [3, 3]}[five]
    yield from ((size, last if i else five_reduce, last) for i, size in enumerate(sizes))


def layer_by_layer(name: str, five: str, classes: int, auxiliary: bool = False) -> int:
  """The parameters: a norm has two per channel, and the convolution before it no bias."""
  total = sum(k * k * a * b + 2 * b for k, a, b in convolutions(name, five)) + 1025 * classes
  for inputs in (512, 528) if auxiliary else ():  # 4x4 pixels of 128 channels, 1024 hidden
    total += 128 * inputs + 2 * 128 + (16 * 128 + 1) * 1024 + 1025 * classes
  return total


def test_counts_are_those_of_the_layers() -> None:
  counts = tuple(layer_by_layer('googlenet', '3x3_3x3', classes) for classes in (10, 100))
  assert counts == exact_counts.GOOGLENET['googlenet']
  name = 'googlenet_imagenet'
  assert layer_by_layer(name, '3x3', 1000) == exact_counts.GOOGLENET[name]
  # The count that kuangliu's code prints includes a bias for each convolution.
  biases = sum(width for _, _, width in convolutions('googlenet', '3x3_3x3'))
  assert counts[0] + biases == 6_166_250


@pytest.mark.parametrize(
  ('five', 'count'),
  [('3x3', 13_004_888), ('5x5', 13_385_816)],  # torchvision's; the paper's branch
)
def test_counts_with_auxiliary_classifiers(five: str, count: int) -> None:
  name = 'googlenet_imagenet'
  model = models.create(name, num_classes=1000, auxiliary=True, five=five)
  assert models.num_params(model) == layer_by_layer(name, five, 1000, auxiliary=True) == count


def test_an_inception_module_joins_its_four_branches() -> None:
  widths, norm = googlenet.Widths(2, 3, 5, 1, 3, 4), layers.batch_norm(False, jnp.float32)
  module = googlenet.Inception(widths, '5x5', norm, jnp.float32)
  x = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))

  def run(x: jax.Array) -> Any:
    variables = module.init(jax.random.key(1), x)
    return module.apply(variables, x, capture_intermediates=True, mutable=['intermediates'])

  whole, state = jax.jit(run)(x)
  names = ('branch1x1', 'branch3x3', 'branch5x5', 'branch_pool')
  branches = [state['intermediates'][name]['__call__'][0] for name in names]
  assert [branch.shape[-1] for branch in branches] == [2, 5, 3, 4]
  np.testing.assert_array_equal(whole, jnp.concatenate(branches, axis=-1))


def test_evaluation_neither_needs_nor_computes_the_auxiliary_classifiers() -> None:
  model = models.create('googlenet', width=1 / 16, auxiliary=True)
  variables, images = models.abstract_variables(model), jnp.zeros((8, 32, 32, 3))
  assert set(variables) == {'params', 'batch_stats'}
  without = {
    collection: {name: tree for name, tree in variables[collection].items() if 'aux' not in name}
    for collection in variables
  }
  assert len(variables['params']) - len(without['params']) == 2

  def apply(variables: Any, train: bool) -> Any:
    mutable = ['batch_stats', 'auxiliary_logits'] if train else ['auxiliary_logits']
    rngs = {'dropout': jax.random.key(0)}
    return model.apply(variables, images, train=train, mutable=mutable, rngs=rngs)

  logits, updates = jax.eval_shape(lambda variables: apply(variables, False), without)
  assert logits.shape == (8, 10) and not updates
  _, updates = jax.eval_shape(lambda variables: apply(variables, True), variables)
  auxiliary = updates['auxiliary_logits']
  assert [auxiliary[name][0].shape for name in ('aux1', 'aux2')] == [(8, 10)] * 2


class TwoHeads(nn.Module):
  """A linear classifier with an auxiliary one, to test the training step without a large net."""

  auxiliary_weight: float

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    flat = images.reshape(images.shape[0], -1)
    if train or self.is_initializing():
      auxiliary = nn.Dense(3, name='auxiliary')(flat)
      if not self.is_initializing():
        self.sow('auxiliary_logits', 'aux1', auxiliary)
    return nn.Dense(3, name='head')(flat)


@pytest.mark.ci
def test_the_training_step_adds_the_weighted_auxiliary_loss() -> None:
  images = jnp.asarray(np.random.RandomState(0).randint(0, 255, (4, 2, 2, 3), np.uint8))
  labels = jnp.array([0, 1, 2, 0], jnp.int32)
  tx = optax.with_extra_args_support(optax.sgd(1.0))
  loss_fn, key = losses.make(LossSettings()), jax.random.key(0)
  normalize = lambda x: x.astype(jnp.float32) / 255  # noqa: E731
  model = TwoHeads(auxiliary_weight=0.3)
  experiment = dataclasses.replace(
    make_experiment(model, batch_size=4),
    tx=tx,
    augment_fn=augment.make(AugmentSettings(flip=False, pad=0), Statistics(3)),
  )
  state = replicate(create_state(model, tx, key, (2, 2, 3)), experiment.mesh)
  before = jax.tree.map(np.asarray, state.params)
  state = make_train_step(experiment)(
    state, key, images, labels, order_of_epoch(key, jnp.int32(0), 4)
  )

  def loss(params: Any) -> Any:
    x = normalize(images).reshape(4, -1)
    logits = {name: x @ layer['kernel'] + layer['bias'] for name, layer in params.items()}
    means = {name: jnp.mean(loss_fn(value, labels)) for name, value in logits.items()}
    return means['head'] + 0.3 * means['auxiliary'], means['head']

  gradient, main = jax.grad(loss, has_aux=True)(before)
  jax.tree.map(
    lambda old, new, g: np.testing.assert_allclose(old - g, new, rtol=1e-5, atol=1e-6),
    before, dict(state.params), gradient,
  )  # fmt: skip
  # The logged loss is that of the main logits only, so that evaluation is comparable with it.
  assert metrics.read(state.means, 10)['loss'] == pytest.approx(float(main), rel=1e-5)


def test_the_recipe_makes_the_auxiliary_classifiers_on_request() -> None:
  config = loading.load(str(ROOT / 'configs' / 'googlenet.py') + ':auxiliary=true')
  model = models.create(**config.model)
  assert model.auxiliary and model.auxiliary_weight == 0.3
  assert set(STREAMS) >= {'dropout'}


def test_images_that_end_in_a_map_without_pixels_are_refused() -> None:
  model = models.create('googlenet_imagenet', five='3x3')
  assert 'its last map has no pixels' in message(
    lambda: jax.eval_shape(lambda: model.init(jax.random.key(0), fill.images(1, 28), train=False))
  )
