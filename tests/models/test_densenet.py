"""DenseNet: counts layer by layer, dropout, and rematerialisation that changes nothing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import densenet, layers
from tests.models import exact_counts
from tests.support import fill
from tests.support.filled import filled_variables
from tests.support.with_and_without_remat import training_passes


def layer_by_layer(depth: int, growth_rate: int, bc: bool, num_classes: int) -> int:
  """The parameters by the paper's table 1 (CIFAR: section 3).

  Convolutions have no bias, a norm has two parameters per channel.
  """
  width = 2 * growth_rate if bc else 16
  total = 27 * width
  for stage in range(3):
    for _ in range((depth - 4) // (6 if bc else 3)):
      inner = 4 * growth_rate if bc else width
      total += (2 * width + width * inner if bc else 0) + 2 * inner + 9 * inner * growth_rate
      width += growth_rate
    if stage < 2:
      narrow = width // 2 if bc else width
      total += 2 * width + width * narrow
      width = narrow
  return total + 2 * width + (width + 1) * num_classes


def test_every_name_has_a_published_error() -> None:
  assert set(densenet.NAMES) == set(densenet.PUBLISHED)


@pytest.mark.parametrize('name', exact_counts.DENSENET)
def test_counts_are_those_of_the_layers(name: str) -> None:
  model = models.create(name)
  shape = (model.depth, model.growth_rate, model.bc)
  counts = (layer_by_layer(*shape, 10), layer_by_layer(*shape, 100))
  assert counts == exact_counts.DENSENET[name]


@pytest.mark.slow
def test_remat_changes_neither_logits_nor_statistics_nor_gradients() -> None:
  fields: dict[str, Any] = {'dropout': 0.2}
  name = 'densenet_bc_10_3'
  variables = filled_variables(models.create(name, **fields))
  images = 1.1 * fill.images(4, 8)  # as they are, rounding decides the sign of an input of ReLU
  plain, rematerialised = training_passes(name, variables, images, **fields)
  # The statistics show that the second computation does not update them again, by another tenth.
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.max(np.abs(a))),
    plain,
    rematerialised,
  )


def test_remat_keeps_the_results_of_convolutions_and_little_else() -> None:
  batch, size, growth_rate, layers_per_block = 8, 16, 8, 4

  def residual_bytes(remat: bool) -> int:
    """The bytes that the backward pass is given, from shapes only."""
    net = models.create(f'densenet_bc_{6 * layers_per_block + 4}_{growth_rate}', remat=remat)

    def residuals(variables: Any, images: jax.Array) -> Any:
      def apply(params: Any) -> Any:
        return net.apply({**variables, 'params': params}, images, train=False)

      return jax.vjp(apply, variables['params'])[1]

    images = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.float32)
    arrays = jax.eval_shape(residuals, models.abstract_variables(net), images)
    return sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(arrays))

  convolutions, width = 0, 2 * growth_rate
  for stage in range(3):
    channels = width + layers_per_block * 5 * growth_rate
    convolutions += 4 * batch * (size // 2**stage) ** 2 * channels
    width = (width + layers_per_block * growth_rate) // 2
  assert convolutions < residual_bytes(True) < 1.5 * convolutions
  assert residual_bytes(False) > 4 * convolutions


def test_remat_sums_the_gradients_of_features_at_every_layer() -> None:
  # This halves the memory at 100 layers, which takes a minute to compile:
  # `benchmarks/remat_memory.py` measures it.
  net: Any = models.create('densenet_bc_22_4', remat=True)
  images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
  apply = lambda variables, images: net.apply(variables, images, train=False).sum()  # noqa: E731
  with layers.plain_forms():  # without the barriers of the convolutions
    text = str(jax.make_jaxpr(jax.grad(apply))(models.abstract_variables(net), images))
  assert text.count('= optimization_barrier') == 9


def test_dropout_follows_every_convolution_but_the_stems() -> None:
  model = models.create('densenet_bc_10_6', dropout=0.5)

  @jax.jit
  def intermediates(variables: Any, images: jax.Array) -> Any:
    streams = {'dropout': jax.random.key(0)}
    _, state = model.apply(
      variables, images, train=True, rngs=streams, capture_intermediates=True, mutable=True
    )
    return state['intermediates']

  outputs = intermediates(filled_variables(model), fill.images(4, 8))
  for module, layer, dropout in (
    ('stage1_layer1', 'bottleneck_conv', 'Dropout_0'),
    ('stage1_layer1', 'conv', 'Dropout_1'),
    ('transition1', 'conv', 'Dropout_0'),
  ):
    before, after = (outputs[module][name]['__call__'][0] for name in (layer, dropout))
    np.testing.assert_allclose(after, np.where(after != 0, 2.0 * before, 0.0), rtol=1e-6)
    assert 0.4 < np.mean(after != 0) < 0.6
  assert 'Dropout_0' not in outputs
