"""What holds for every family: dtypes, gates, errors; and the conventions of the papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.filled import variables as filled

from cifar_jax import models
from cifar_jax.errors import InputError
from cifar_jax.models import layers, pyramidnet, shake_shake

SMALL = (
  'resnet8',
  'se_resnet8',
  'plain8',
  'resnext_11_2x4d',
  'preact_resnet8',
  'preact_resnet8_order_b',
  'preact_resnet11_bottleneck',
  'wrn_10_2',
  'pyramidnet8_a12',
  'pyramidnet11_a12_bottleneck',
  'shake_shake_8_2x4d',
)


def variables_and_images(model, batch=4):
  images = jax.random.normal(jax.random.key(0), (batch, 32, 32, 3))
  return filled(model), images


@pytest.mark.parametrize('name', SMALL)
def test_logits_and_dtypes(name):
  model = models.create(name, num_classes=7, dtype='bfloat16')
  variables, images = variables_and_images(model)
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype('float32')}
  logits, updates = jax.jit(
    lambda v, x: model.apply(
      v, x, train=True, rngs={'shake': jax.random.key(0)}, mutable=['batch_stats']
    )
  )(variables, images)
  assert logits.shape == (4, 7) and logits.dtype == jnp.float32
  assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {np.dtype('float32')}


@pytest.mark.parametrize('name', SMALL)
def test_gates_given_take_the_place_of_those_drawn(name):
  # With every branch closed a net is its stem, its shortcuts and its head: nothing of what the
  # branches hold may matter.
  model = models.create(name)
  variables, images = variables_and_images(model)
  branches = 2 if name.startswith('shake') else 1
  closed = jnp.zeros((model.num_blocks, branches))
  gates = layers.Gates(closed, closed, jnp.ones(model.num_blocks))

  def in_branch(path):
    keys = '/'.join(key.key for key in path)
    return (
      'block' in keys
      and 'shortcut' not in keys
      and not keys.endswith(('norm1/scale', 'norm1/bias', 'norm_sum/scale', 'norm_sum/bias'))
    )

  changed = jax.tree_util.tree_map_with_path(
    lambda path, leaf: leaf * 3.0 if in_branch(path) else leaf, variables['params']
  )
  apply = jax.jit(
    lambda params, gates: model.apply(
      variables | {'params': params}, images, train=False, gates=gates
    )
  )
  np.testing.assert_array_equal(apply(variables['params'], gates), apply(changed, gates))
  assert np.any(apply(variables['params'], gates) != apply(variables['params'], None))


def test_pyramidnet_widths_grow_at_every_block_and_reach_16_plus_alpha():
  widths = pyramidnet.widths(54, 48)
  assert widths[:4] == [17, 18, 19, 20]  # 16.89, 17.78, 18.67, 19.56, each rounded when used
  assert widths[-1] == 64 and len(widths) == 54
  assert pyramidnet.widths(30, 200)[-1] == 216


def test_pyramidnet_unit_has_no_relu_before_its_first_convolution_nor_after_its_stem():
  # With positive homogeneity broken only by ReLUs, a stem that is negative everywhere must still
  # reach the first convolution: with a ReLU there, its gradient would vanish.
  model = models.create('pyramidnet8_a12')
  variables, images = variables_and_images(model)
  params = variables['params']
  params['stem_norm']['bias'] = jnp.full(16, -100.0)

  def loss(kernel):
    changed = params | {'stem_conv': {'kernel': kernel}}
    return jnp.sum(model.apply(variables | {'params': changed}, images, train=False) ** 2)

  assert np.any(jax.jit(jax.grad(loss))(params['stem_conv']['kernel']))


def test_wide_resnet_drops_activations_only_before_the_second_convolution():
  model = models.create('wrn_10_1', dropout=0.5)
  variables, images = variables_and_images(model)
  _, state = model.apply(
    variables,
    images,
    train=True,
    rngs={'dropout': jax.random.key(0)},
    capture_intermediates=True,
    mutable=True,
  )
  block = state['intermediates']['stage1_block1']
  before = jax.nn.relu(block['norm2']['__call__'][0])
  after = block['Dropout_0']['__call__'][0]
  kept = after != 0
  np.testing.assert_allclose(after, np.where(kept, 2.0 * before, 0.0), rtol=1e-6)
  assert 0.45 < np.mean(kept[before > 0]) < 0.55


def test_shake_shake_shortcut_takes_even_pixels_and_the_ones_up_and_left_of_them():
  module = shake_shake.ShakeShortcut(
    width=2, stride=2, norm=layers.batch_norm(False, jnp.float32), dtype=jnp.float32
  )
  x = 1.0 + jnp.arange(16.0).reshape(1, 4, 4, 1)
  variables = module.init(jax.random.key(0), x)
  ones = {'kernel': jnp.ones((1, 1, 1, 1))}
  params = variables['params'] | {'conv1': ones, 'conv2': ones}
  out = module.apply(variables | {'params': params}, x) * np.sqrt(1 + 1e-5)
  np.testing.assert_allclose(out[..., 0].ravel(), [1, 3, 9, 11], rtol=1e-5)
  np.testing.assert_allclose(out[..., 1].ravel(), [0, 0, 0, 6], rtol=1e-5)


def test_shake_shake_stem_is_not_rectified_and_its_shortcut_is():
  model = models.create('shake_shake_8_2x4d')
  variables, images = variables_and_images(model)
  _, state = model.apply(variables, images, train=False, capture_intermediates=True, mutable=True)
  seen = state['intermediates']
  stem = seen['stem_norm']['__call__'][0]
  assert np.min(stem) < 0
  kernel = variables['params']['stage1_block1']['shortcut']['conv1']['kernel']
  np.testing.assert_allclose(
    seen['stage1_block1']['shortcut']['conv1']['__call__'][0],
    jax.nn.relu(stem) @ kernel[0, 0],
    rtol=1e-4,
    atol=1e-5,
  )


@pytest.mark.parametrize(
  ('name', 'fields', 'words'),
  [
    ('pyramidnet111_a48', {}, ['6n + 2', '111', '110', '116']),
    ('resnet21', {}, ['6n + 2', '21']),
    ('wrn_28_0', {}, ['widen factor', '0']),
    ('wrn_27_10', {}, ['6n + 4', '27']),
    ('preact_resnet12_bottleneck', {}, ['9n + 2', '12']),
    ('shake_shake_26_2x33d', {}, ['even', '33']),
    ('resnet_20', {}, ['resnet20', 'resnet_20']),
    ('resnet20', {'dropout': 0.1}, ['dropout', 'shortcut', 'survival_probability']),
    ('resnet20', {'shortcut': 'c'}, ['pad', 'project']),
    ('resnet20', {'dtype': 'float16'}, ['float16', 'bfloat16']),
    ('resnet20', {'num_classes': 0}, ['class']),
    ('wrn_10_1', {'dropout': 1.0}, ['dropout']),
    ('shake_shake_26_2x32d', {'forward': 'keep'}, ['forward', 'even', 'shake']),
  ],
)
def test_impossible_models_say_what_is_possible(name, fields, words):
  with pytest.raises(InputError) as error:
    models.create(name, **fields)
  assert all(word in str(error.value) for word in words), error.value
  assert '\n' not in str(error.value)
