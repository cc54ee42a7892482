"""FractalNet: exact counts, the joins against an independent recursion, drop-path and columns.

`data/fractalnet_torch.py` made the logits of small nets in Torch, the weights filled by name.
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

from cifar_jax import models
from cifar_jax.errors import InputError
from cifar_jax.models import fractalnet

# To compile these nets takes longer than to run them.
FAST = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
jit = functools.partial(jax.jit, compiler_options=FAST)

DATA = pathlib.Path(__file__).parent.parent / 'data'
TORCH = json.loads((DATA / 'fractalnet_torch.json').read_text())['nets']
# Trainable parameters with 10 and with 100 classes. The first is imgclsmob's count too; the paper's
# table 1 prints 38.6M for it, which is 4.9M more than the layers that its text and the authors'
# generator have. The others are as its table 3 prints them.
COUNTS = {
  'fractalnet20': (33_724_618, 33_770_788),
  'fractalnet5_w16': (246_682, 258_292),
  'fractalnet10_w16': (836_106, 847_716),
  'fractalnet20_w16': (2_113_594, 2_125_204),
  'fractalnet40_w16': (4_767_210, 4_778_820),
  'fractalnet80_w16': (10_173_082, 10_184_692),
  'fractalnet160_w16': (21_083_466, 21_095_076),
}
TABLE_3 = {5: 0.3, 10: 0.8, 20: 2.1, 40: 4.8, 80: 10.2, 160: 21.1}  # millions, CIFAR-100


def layer_by_layer(columns, base_width, num_classes):
  """Section 4.1: 2^C - 1 layers a block, of which C take the block's input; norms after each."""
  total, inputs = 0, 3
  for width in (base_width * factor for factor in (1, 2, 4, 8, 8)):
    total += 9 * columns * inputs * width + 9 * (2**columns - 1 - columns) * width**2
    total += (2**columns - 1) * 2 * width
    inputs = width
  return total + (inputs + 1) * num_classes


def some_images(batch):
  return np.random.RandomState(0).standard_normal((batch, 32, 32, 3)).astype(np.float32)


def column_alone(model, column):
  """The paths of one column through the whole net, as `active`."""
  alone = jax.nn.one_hot(column - 1, model.num_columns) * fractalnet.join_inputs(model.num_columns)
  return jnp.broadcast_to(alone, (model.num_blocks, *alone.shape))


def test_every_name_has_a_count():
  assert set(COUNTS) == set(fractalnet.NAMES)
  assert set(fractalnet.PUBLISHED) <= set(COUNTS)


@pytest.mark.parametrize('name', COUNTS)
def test_parameters_are_exact(name):
  model = models.create(name)
  params = models.abstract_variables(model)['params']
  ten = models.count(params)
  hundred = ten + 90 * (params['head']['kernel'].shape[0] + 1)
  assert (ten, hundred) == COUNTS[name]
  shape = (model.num_columns, model.base_width)
  assert (layer_by_layer(*shape, 10), layer_by_layer(*shape, 100)) == COUNTS[name]
  if name.endswith('_w16'):
    assert round(hundred / 1e6, 1) == TABLE_3[model.depth]


@pytest.mark.parametrize('net', TORCH)
def test_logits_are_those_of_torch(net):
  name, columns = net.split()
  model = models.create(name, columns=columns)
  logits = jit(lambda v, x: model.apply(v, x, train=False))(filled(model), fill.images())
  np.testing.assert_allclose(logits, np.array(TORCH[net]['logits']), rtol=2e-4, atol=2e-4)


def test_a_join_is_the_mean_of_what_is_active():
  inputs = [jnp.full((1, 2, 2, 1), value, jnp.bfloat16) for value in (1.0, 2.0, 6.0)]
  for active, mean in ((None, 3.0), ([1, 0, 1], 3.5), ([0, 1, 0], 2.0), ([0, 0, 0], 0.0)):
    joined = fractalnet.join(inputs, None if active is None else jnp.array(active, jnp.float32))
    assert joined.dtype == jnp.bfloat16 and np.all(joined == mean)


def test_paths_are_half_local_and_half_global_and_none_is_cut():
  inputs = fractalnet.join_inputs(3)
  np.testing.assert_array_equal(inputs, [[0, 1, 1], [1, 1, 1]])
  keys = jax.random.split(jax.random.key(0), 4000)
  paths = np.asarray(jit(jax.vmap(lambda key: fractalnet.draw_paths(key, 3, 0.15)))(keys))
  assert paths.shape == (4000, 5, 2, 3) and set(np.unique(paths)) == {0.0, 1.0}
  assert not np.any(paths[..., ~inputs])
  # Global draws are one column throughout; a local one is that only by a chance below 1e-7.
  columns = np.eye(3)[:, None] * inputs
  single = np.array([[np.all(path == column) for column in columns] for path in paths])
  is_global = single.any(1)
  assert 0.46 < np.mean(is_global) < 0.54
  assert np.all(np.abs(single[is_global].mean(0) - 1 / 3) < 0.04)
  local = paths[~is_global]
  assert np.all(local.sum(-1) >= 1)
  # An input of two is dropped with 0.15, less half of the 0.15^2 where it is the one that is kept.
  expected = 1 - 0.15 + 0.15**2 / 2
  assert np.all(np.abs(local[:, :, 0, 1:].mean((0, 1)) - expected) < 0.015)


def test_active_paths_take_the_place_of_those_drawn():
  model = models.create('fractalnet10_w4', drop_path=0.15)
  deepest = models.create('fractalnet10_w4', columns='deepest')
  variables, images = filled(model), some_images(2)
  along = jit(lambda variables, active: model.apply(variables, images, train=False, active=active))

  def triple_column_2(path, leaf):
    return 3.0 * leaf if 'column2_' in path[1].key else leaf

  changed = variables | {
    'params': jax.tree_util.tree_map_with_path(triple_column_2, variables['params'])
  }
  shallow, deep = (along(variables, column_alone(model, column)) for column in (1, 2))
  np.testing.assert_array_equal(shallow, along(changed, column_alone(model, 1)))
  alone = jit(lambda variables: deepest.apply(variables, images, train=False))(variables)
  np.testing.assert_allclose(deep, alone, rtol=1e-5, atol=1e-6)
  assert np.any(np.abs(deep - shallow) > 1e-3)


def test_layers_that_are_left_out_get_no_gradient_and_keep_their_statistics():
  model = models.create('fractalnet10_w4', drop_path=0.15)
  variables, images = filled(model), some_images(4)

  @jit
  def gradient(variables, active):
    def loss(params):
      logits, updates = model.apply(
        variables | {'params': params}, images, train=True, active=active, mutable=['batch_stats']
      )
      return jnp.sum(logits**2), updates['batch_stats']

    return jax.grad(loss, has_aux=True)(variables['params'])

  params, batch_stats = gradient(variables, column_alone(model, 1))
  before = variables['batch_stats']
  for block in (f'block{i}' for i in range(1, 6)):
    for layer, leaves in params[block].items():
      used = layer.startswith('column1_')
      moved = jax.tree.map(lambda a, b: a != b, batch_stats[block][layer], before[block][layer])
      for leaf in jax.tree.leaves((leaves, moved)):
        assert np.any(leaf) == used, (block, layer)


def test_a_tiny_net_learns_and_the_gradient_reaches_every_parameter():
  model = models.create('fractalnet10_w4', drop_path=0.15, dropout=0.1)
  variables, images, labels = filled(model), some_images(8), jnp.arange(8) % 4

  @jit
  def step(params, key):
    streams = dict(zip(('dropout', 'drop_path'), jax.random.split(key), strict=True))

    def loss(params):
      logits, _ = model.apply(
        variables | {'params': params}, images, train=True, rngs=streams, mutable=['batch_stats']
      )
      return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))

    value, gradient = jax.value_and_grad(loss)(params)
    return value, gradient, jax.tree.map(lambda p, g: p - 0.02 * g, params, gradient)

  params, losses = variables['params'], []
  reached = jax.tree.map(np.zeros_like, params)
  for key in jax.random.split(jax.random.key(2), 30):
    value, gradient, params = step(params, key)
    losses.append(value)
    reached = jax.tree.map(lambda total, g: total + np.abs(g), reached, gradient)
  assert all(np.any(leaf) for leaf in jax.tree.leaves(reached))
  assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_dropout_rises_from_none_in_the_first_block_to_all_in_the_last():
  # The authors' generator has 0, 0.1, 0.2, 0.3 and 0.4.
  model = models.create('fractalnet5_w8', dropout=0.4)

  @jit
  def intermediates(variables, images):
    streams = {'dropout': jax.random.key(0)}
    _, state = model.apply(
      variables, images, train=True, rngs=streams, capture_intermediates=True, mutable=True
    )
    return state['intermediates']

  seen = intermediates(filled(model), some_images(4))
  assert 'Dropout_0' not in seen['block1']['column1_layer1']
  for index in range(1, 5):
    layer = seen[f'block{index + 1}']['column1_layer1']
    kept = np.mean(layer['Dropout_0']['__call__'][0] != 0)
    assert abs(kept - (1 - 0.1 * index)) < 0.06, index


@pytest.mark.parametrize(
  ('name', 'fields', 'words'),
  [
    ('fractalnet21', {}, ['5 * 2^n', '21']),
    ('fractalnet0', {}, ['5 * 2^n', '0']),
    ('fractalnet20_w0', {}, ['width', '0']),
    ('fractalnet20', {'drop_path': 1.0}, ['drop_path', 'below 1']),
    ('fractalnet20', {'dropout': -0.1}, ['dropout', 'at least 0']),
    ('fractalnet20', {'columns': 'first'}, ['first', 'all', 'deepest']),
    ('fractalnet_20', {}, ['fractalnet20', 'depth']),
  ],
)
def test_impossible_nets_say_what_is_possible(name, fields, words):
  with pytest.raises(InputError) as error:
    models.create(name, **fields)
  assert all(word in str(error.value) for word in words), error.value
  assert '\n' not in str(error.value)


def test_images_that_cannot_be_halved_five_times_are_refused():
  with pytest.raises(InputError, match='32 x 32'):
    models.abstract_variables(models.create('fractalnet5_w16'), image_size=28)
