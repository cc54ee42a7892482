"""FractalNet: counts layer by layer, joins, drop-path and columns."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import fractalnet
from tests.models import exact_counts
from tests.support import fill
from tests.support.filled import filled_variables

TABLE_3 = {5: 0.3, 10: 0.8, 20: 2.1, 40: 4.8, 80: 10.2, 160: 21.1}  # millions, CIFAR-100


def layer_by_layer(columns: int, base_width: int, num_classes: int) -> int:
  """Section 4.1: 2^C - 1 layers per block, of which C see the block's input; a norm after each."""
  total, inputs = 0, 3
  for width in (base_width * factor for factor in (1, 2, 4, 8, 8)):
    total += 9 * columns * inputs * width + 9 * (2**columns - 1 - columns) * width**2
    total += (2**columns - 1) * 2 * width
    inputs = width
  return total + (inputs + 1) * num_classes


def only_column(model: Any, column: int) -> jax.Array:
  """The paths of one column, counted from 1, through the whole net, as `active`."""
  alone = jax.nn.one_hot(column - 1, model.num_columns) * fractalnet.join_inputs(model.num_columns)
  return jnp.broadcast_to(alone, (model.num_blocks, *alone.shape))


@pytest.mark.parametrize('name', exact_counts.FRACTALNET)
def test_counts_are_those_of_the_layers(name: str) -> None:
  model = models.create(name)
  shape = (model.num_columns, model.base_width)
  counts = (layer_by_layer(*shape, 10), layer_by_layer(*shape, 100))
  assert counts == exact_counts.FRACTALNET[name]
  if name.endswith('_w16'):
    assert round(counts[1] / 1e6, 1) == TABLE_3[model.depth]


def test_a_join_is_the_mean_of_its_active_inputs() -> None:
  inputs = [jnp.full((1, 2, 2, 1), value, jnp.bfloat16) for value in (1.0, 2.0, 6.0)]
  for active, mean in ((None, 3.0), ([1, 0, 1], 3.5), ([0, 1, 0], 2.0), ([0, 0, 0], 0.0)):
    joined = fractalnet.join(inputs, None if active is None else jnp.array(active, jnp.float32))
    assert joined.dtype == jnp.bfloat16 and np.all(joined == mean)


def test_paths_are_half_local_and_half_global_and_no_join_is_empty() -> None:
  inputs = fractalnet.join_inputs(3)
  np.testing.assert_array_equal(inputs, [[0, 1, 1], [1, 1, 1]])
  keys = jax.random.split(jax.random.key(0), 4000)
  paths = np.asarray(jax.jit(jax.vmap(lambda key: fractalnet.draw_paths(key, 3, 0.15)))(keys))
  assert paths.shape == (4000, 5, 2, 3) and set(np.unique(paths)) == {0.0, 1.0}
  assert not np.any(paths[..., ~inputs])
  # Global paths are one column throughout; local ones are that only with a probability below 1e-7.
  columns = np.eye(3)[:, None] * inputs
  single = np.array([[np.all(path == column) for column in columns] for path in paths])
  is_global = single.any(1)
  assert 0.46 < np.mean(is_global) < 0.54
  assert np.all(np.abs(single[is_global].mean(0) - 1 / 3) < 0.04)
  local = paths[~is_global]
  assert np.all(local.sum(-1) >= 1)
  # One of two inputs is dropped with probability 0.15, less half of 0.15^2: where both would be
  # dropped, one of them survives.
  expected = 1 - 0.15 + 0.15**2 / 2
  assert np.all(np.abs(local[:, :, 0, 1:].mean((0, 1)) - expected) < 0.015)


def test_given_paths_replace_the_drawn_ones() -> None:
  model = models.create('fractalnet10_w4', drop_path=0.15)
  deepest = models.create('fractalnet10_w4', columns='deepest')
  variables, images = filled_variables(model), fill.images()
  along = jax.jit(
    lambda variables, active: model.apply(variables, images, train=False, active=active)
  )

  def triple_column_2(path: tuple[Any, ...], leaf: Any) -> Any:
    return 3.0 * leaf if 'column2_' in path[1].key else leaf

  changed = variables | {
    'params': jax.tree_util.tree_map_with_path(triple_column_2, variables['params'])
  }
  shallow, deep = (along(variables, only_column(model, column)) for column in (1, 2))
  np.testing.assert_array_equal(shallow, along(changed, only_column(model, 1)))
  alone = jax.jit(lambda variables: deepest.apply(variables, images, train=False))(variables)
  np.testing.assert_allclose(deep, alone, rtol=1e-5, atol=1e-6)
  assert np.any(np.abs(deep - shallow) > 1e-3)


@pytest.mark.ci
def test_dropped_layers_have_no_gradient_and_their_statistics_do_not_change() -> None:
  model = models.create('fractalnet10_w4', drop_path=0.15)
  variables, images = filled_variables(model), fill.images(4)

  @jax.jit
  def gradient(variables: Any, active: jax.Array) -> Any:
    def loss(params: Any) -> Any:
      logits, updates = model.apply(
        variables | {'params': params}, images, train=True, active=active, mutable=['batch_stats']
      )
      return jnp.sum(logits**2), updates['batch_stats']

    return jax.grad(loss, has_aux=True)(variables['params'])

  params, batch_stats = gradient(variables, only_column(model, 1))
  before = variables['batch_stats']
  for block in (f'block{i}' for i in range(1, 6)):
    for layer, leaves in params[block].items():
      used = layer.startswith('column1_')
      moved = jax.tree.map(lambda a, b: a != b, batch_stats[block][layer], before[block][layer])
      for leaf in jax.tree.leaves((leaves, moved)):
        assert np.any(leaf) == used, (block, layer)


def test_a_net_of_one_column_has_no_paths_to_drop() -> None:
  plain, dropping = (models.create('fractalnet5_w4', drop_path=p) for p in (0.0, 0.15))
  variables, images = filled_variables(plain), fill.images()
  for train in (True, False):
    apply = lambda net, train=train: jax.jit(  # noqa: E731
      lambda variables: net.apply(
        *(variables, images),
        train=train,
        mutable=['batch_stats'],
        rngs={'drop_path': jax.random.key(0)},
      )
    )(variables)
    np.testing.assert_array_equal(apply(plain)[0], apply(dropping)[0])


def test_dropout_rises_from_none_in_the_first_block_to_all_in_the_last() -> None:
  # The authors' generator has 0, 0.1, 0.2, 0.3 and 0.4.
  model = models.create('fractalnet5_w8', dropout=0.4)

  @jax.jit
  def intermediates(variables: Any, images: jax.Array) -> Any:
    streams = {'dropout': jax.random.key(0)}
    _, state = model.apply(
      variables, images, train=True, rngs=streams, capture_intermediates=True, mutable=True
    )
    return state['intermediates']

  outputs = intermediates(filled_variables(model), fill.images(4))
  assert 'Dropout_0' not in outputs['block1']['column1_layer1']
  for index in range(1, 5):
    layer = outputs[f'block{index + 1}']['column1_layer1']
    surviving = np.mean(layer['Dropout_0']['__call__'][0] != 0)
    assert abs(surviving - (1 - 0.1 * index)) < 0.06, index
