"""DenseNet: exact counts, the authors' order of layers, and rematerialisation that changes nothing.

`data/densenet_torch.py` made the logits of small nets in Torch, the weights filled by name.
"""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from data import fill
from data.filled import variables as filled
from with_and_without_remat import training_passes

from cifar_jax import models
from cifar_jax.errors import InputError
from cifar_jax.models import convolution, densenet

# To compile these nets takes longer than to run them.
FAST = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
jit = functools.partial(jax.jit, compiler_options=FAST)

DATA = pathlib.Path(__file__).parent.parent / 'data'
TORCH = json.loads((DATA / 'densenet_torch.json').read_text())['nets']
# Trainable parameters with 10 and with 100 classes.
COUNTS = {
  'densenet_40_12': (1_019_722, 1_060_132),
  'densenet_100_12': (6_979_642, 7_084_852),
  'densenet_100_24': (27_249_082, 27_457_972),
  'densenet_bc_100_12': (769_162, 800_032),
  'densenet_bc_250_24': (15_324_406, 15_480_556),
  'densenet_bc_190_40': (25_624_430, 25_821_620),
  'densenet_bc_40_36': (1_542_682, 1_578_412),
  'densenet_bc_40_48': (2_733_130, 2_780_740),  # 2.7M printed in the authors' README
  'densenet_bc_40_60': (4_261_690, 4_321_180),  # 4.3M
}


def layer_by_layer(depth, growth_rate, bc, num_classes):
  """The paper's table 1 (CIFAR: section 3): convolutions have no bias, a norm two a channel."""
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


def some_images(batch, size=8):
  return np.random.RandomState(0).standard_normal((batch, size, size, 3)).astype(np.float32)


def test_every_name_has_a_count_and_a_published_error():
  assert set(COUNTS) == set(densenet.NAMES) == set(densenet.PUBLISHED)


def test_every_count_is_that_of_the_layers():
  for name, counts in COUNTS.items():
    model = models.create(name)
    shape = (model.depth, model.growth_rate, model.bc)
    assert (layer_by_layer(*shape, 10), layer_by_layer(*shape, 100)) == counts, name


@pytest.mark.parametrize('name', ['densenet_40_12', 'densenet_bc_100_12', 'densenet_bc_40_36'])
def test_the_models_have_those_layers(name):  # tracing the deepest would take seconds each
  params = models.abstract_variables(models.create(name))['params']
  ten = models.count(params)
  assert (ten, ten + 90 * (params['head']['kernel'].shape[0] + 1)) == COUNTS[name]


@pytest.mark.parametrize('name', TORCH)
def test_logits_are_those_of_torch(name):
  # A transition without its ReLU, a stem with one, or plain nets that compress would all show.
  model = models.create(name)
  variables = filled(model)
  assert models.count(variables['params']) == TORCH[name]['num_params']
  logits = jit(lambda v, x: model.apply(v, x, train=False))(variables, fill.images())
  np.testing.assert_allclose(logits, np.array(TORCH[name]['logits']), rtol=2e-4, atol=2e-4)


def test_remat_changes_neither_logits_nor_statistics_nor_gradients():
  name, fields = 'densenet_bc_10_3', {'dropout': 0.2}
  variables = filled(models.create(name, **fields))
  kept, recomputed = training_passes(name, variables, some_images(4), **fields)
  # The statistics too: had they moved in the second computation again, a tenth more would be new.
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.max(np.abs(a))),
    kept,
    recomputed,
  )


def test_remat_keeps_what_convolutions_give_and_little_else():
  batch, size, growth_rate, layers_a_block = 8, 16, 8, 4

  def kept_bytes(remat):
    # The arrays that the backward pass is handed; shapes only, nothing is computed.
    net = models.create(f'densenet_bc_{6 * layers_a_block + 4}_{growth_rate}', remat=remat)

    def residuals(variables, images):
      def apply(params):
        return net.apply({**variables, 'params': params}, images, train=False)

      return jax.vjp(apply, variables['params'])[1]

    images = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.float32)
    arrays = jax.eval_shape(residuals, models.abstract_variables(net), images)
    return sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(arrays))

  convolutions, width = 0, 2 * growth_rate
  for stage in range(3):
    channels = width + layers_a_block * 5 * growth_rate
    convolutions += 4 * batch * (size // 2**stage) ** 2 * channels
    width = (width + layers_a_block * growth_rate) // 2
  assert convolutions < kept_bytes(True) < 1.5 * convolutions
  assert kept_bytes(False) > 4 * convolutions


def test_remat_sums_the_gradients_of_features_at_every_layer():
  # What that saves (half the memory, at 100 layers) takes a minute to compile:
  # `benchmarks/remat_memory.py` measures it.
  net = models.create('densenet_bc_22_4', remat=True)
  images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
  apply = lambda variables, images: net.apply(variables, images, train=False).sum()  # noqa: E731
  with convolution.plain():  # without barriers of their own
    text = str(jax.make_jaxpr(jax.grad(apply))(models.abstract_variables(net), images))
  assert text.count('= optimization_barrier') == 9


def test_dropout_follows_every_convolution_but_the_stems():
  model = models.create('densenet_bc_10_6', dropout=0.5)

  @jit
  def intermediates(variables, images):
    streams = {'dropout': jax.random.key(0)}
    _, state = model.apply(
      variables, images, train=True, rngs=streams, capture_intermediates=True, mutable=True
    )
    return state['intermediates']

  seen = intermediates(filled(model), some_images(4))
  for module, layer, dropout in (
    ('stage1_layer1', 'bottleneck_conv', 'Dropout_0'),
    ('stage1_layer1', 'conv', 'Dropout_1'),
    ('transition1', 'conv', 'Dropout_0'),
  ):
    before, after = (seen[module][part]['__call__'][0] for part in (layer, dropout))
    np.testing.assert_allclose(after, np.where(after != 0, 2.0 * before, 0.0), rtol=1e-6)
    assert 0.4 < np.mean(after != 0) < 0.6
  assert 'Dropout_0' not in seen


def test_a_tiny_net_learns_and_the_gradient_reaches_every_parameter():
  model = models.create('densenet_bc_10_4', remat=True)
  variables, images, labels = filled(model), some_images(8), jnp.arange(8)

  @jit
  def step(params):
    def loss(params):
      logits, _ = model.apply(
        variables | {'params': params}, images, train=True, mutable=['batch_stats']
      )
      return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))

    value, gradient = jax.value_and_grad(loss)(params)
    return value, gradient, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)

  first, gradient, params = step(variables['params'])
  assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
  for _ in range(19):
    last, _, params = step(params)
  assert last < 0.7 * first


@pytest.mark.parametrize(
  ('name', 'fields', 'words'),
  [
    ('densenet_41_12', {}, ['3n + 4', '41', '40', '43']),
    ('densenet_bc_101_12', {}, ['6n + 4', '101', '100', '106']),
    ('densenet_bc_100_0', {}, ['growth rate', '0']),
    ('densenet_40_12', {'dropout': 1.0}, ['dropout', 'below 1']),
    ('densenet_40_12', {'compression': 0.5}, ['compression', 'dropout', 'remat']),
    ('densenet_bc_100', {}, ['densenet_bc_100_12', 'growth_rate']),
  ],
)
def test_impossible_nets_say_what_is_possible(name, fields, words):
  with pytest.raises(InputError) as error:
    models.create(name, **fields)
  assert all(word in str(error.value) for word in words), error.value
  assert '\n' not in str(error.value)
