"""Weights from PyTorch and back: layouts, stages and what does not match.

That the logits of whole nets are the same needs PyTorch and is measured by
`benchmarks/torch_parity.py`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from data import fill

from cifar_jax import convert, models
from cifar_jax.convert import files, layouts, names
from cifar_jax.errors import InputError


def filled(model):
  def fill_one(path, leaf):
    return fill.array('/'.join(key.key for key in path[1:]), leaf.shape)

  return jax.tree_util.tree_map_with_path(fill_one, models.abstract_variables(model))


def assert_same(left, right):
  jax.tree.map(np.testing.assert_array_equal, left, right)


class Head(nn.Module):
  """A grouped convolution with an asymmetric kernel, a flattened map of 2x4, two dense layers."""

  dtype: object = jnp.float32

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.Conv(4, (3, 5), padding='SAME', name='stem')(images)
    x = nn.Conv(6, (3, 1), feature_group_count=2, padding='SAME', name='grouped')(x)
    x = nn.max_pool(nn.relu(x), (16, 8), strides=(16, 8))
    x = nn.relu(jnp.reshape(x, (len(x), -1))).astype(self.dtype)
    x = nn.Dropout(0.5, deterministic=not train)(x)
    x = nn.relu(nn.Dense(48, dtype=self.dtype, name='hidden')(x))  # as wide as the map has values
    x = nn.Dense(5, name='head')(x)
    return x.astype(jnp.float32)


def by_hand(state_dict, images):
  """`Head` as Torch computes it, channels first, in float64."""
  x = images.transpose(0, 3, 1, 2)

  def convolved(x, name, padding, groups=1):
    weight = state_dict[f'{name}.weight'].astype(np.float64)
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    per_group, outputs = x.shape[1] // groups, len(weight)
    height, width = (x.shape[2 + i] - weight.shape[2 + i] + 1 for i in (0, 1))
    result = np.zeros((len(x), outputs, height, width))
    for out in range(outputs):
      first = out // (outputs // groups) * per_group
      for channel, row, column in np.ndindex(weight.shape[1:]):
        window = x[:, first + channel, row : row + height, column : column + width]
        result[:, out] += weight[out, channel, row, column] * window
    return result + state_dict[f'{name}.bias'][:, None, None]

  x = convolved(convolved(x, 'stem', (1, 2)), 'grouped', (1, 0), groups=2)
  x = np.maximum(x, 0).reshape(2, 6, 2, 16, 4, 8).max((3, 5)).reshape(2, -1)
  x = np.maximum(x @ state_dict['hidden.weight'].T + state_dict['hidden.bias'], 0)
  return x @ state_dict['head.weight'].T + state_dict['head.bias']


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_the_dense_layer_that_reads_a_flattened_map_is_found(dtype):
  assert layouts.trace(Head(dtype))[1] == {'hidden': (2, 4, 6)}


def test_a_pooled_map_is_not_taken_for_a_flattened_one():
  assert all(shape[:2] == (1, 1) for shape in layouts.trace(models.create('resnet8'))[1].values())


def test_layouts_are_those_that_torch_computes_with():
  model, images = Head(), fill.images()
  variables = filled(model)
  state_dict = convert.to_state_dict(variables, model)
  assert state_dict['stem.weight'].shape == (4, 3, 3, 5)
  assert state_dict['grouped.weight'].shape == (6, 2, 3, 1)
  assert state_dict['hidden.weight'].shape == (48, 48)
  logits = jax.jit(lambda variables: model.apply(variables, images, train=False))(variables)
  np.testing.assert_allclose(logits, by_hand(state_dict, images), rtol=1e-4, atol=1e-4)
  assert_same(convert.to_variables(state_dict, model), variables)


def test_own_names_and_the_way_back_to_the_bit():
  model = models.create('resnet8', shortcut='project')
  variables = filled(model)
  state_dict = convert.to_state_dict(variables, model)
  kernel = variables['params']['stage2_block1']['shortcut_conv']['kernel']
  np.testing.assert_array_equal(
    state_dict['stage2_block1.shortcut_conv.weight'][:, :, 0, 0], kernel[0, 0].T
  )
  moved = {'stem_norm.weight': 'scale', 'stem_norm.bias': 'bias'}
  for name, leaf in moved.items():
    np.testing.assert_array_equal(state_dict[name], variables['params']['stem_norm'][leaf])
  for kind in ('mean', 'var'):
    np.testing.assert_array_equal(
      state_dict[f'stem_norm.running_{kind}'], variables['batch_stats']['stem_norm'][kind]
    )
  assert state_dict['stem_norm.num_batches_tracked'].dtype == np.int64
  assert all(array.flags.c_contiguous for array in state_dict.values())
  back = convert.to_variables(state_dict, model)
  assert jax.tree.structure(back) == jax.tree.structure(variables)
  assert_same(back, variables)


def test_squeeze_and_excitation_may_be_a_convolution_there():
  class Net(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
      return nn.Dense(2, name='squeeze')(jnp.mean(images, (1, 2)))

  rules = names.Rules(names.table(('squeeze', 'se.conv1')), pointwise=r'se\.conv1')
  variables = filled(Net())
  state_dict = convert.to_state_dict(variables, Net(), rules)
  assert state_dict['se.conv1.weight'].shape == (2, 3, 1, 1)
  assert_same(convert.to_variables(state_dict, Net(), rules), variables)


def test_what_does_not_match_is_listed_in_full_and_told_in_a_line():
  model = models.create('resnet8')
  state_dict = convert.to_state_dict(filled(model), model)
  for name in [name for name in state_dict if name.startswith('stage1')]:
    state_dict[f'other.{name}'] = state_dict.pop(name)
  state_dict['head.weight'] = state_dict['head.weight'].T
  outcome = convert.compare(state_dict, model)
  assert len(outcome.missing) == len(outcome.unknown) == 10 and not outcome.complete
  assert outcome.misshapen == (convert.Misshapen('head.weight', (64, 10), (10, 64)),)
  with pytest.raises(InputError) as error:
    convert.to_variables(state_dict, model)
  told = str(error.value)
  assert '\n' not in told and told.count('stage1_') == 6
  assert all(words in told for words in ('10 missing', '10 without a place', '[64, 10], not [10,'))


def test_other_float_types_nets_in_parallel_and_integers():
  model = models.create('resnet8')
  variables = filled(model)
  state_dict = convert.to_state_dict(variables, model)
  parallel = {f'module.{name}': array.astype(np.float64) for name, array in state_dict.items()}
  assert_same(convert.to_variables(parallel, model), variables)
  half = {name: array.astype(jnp.bfloat16) for name, array in state_dict.items()}
  rounded = jax.tree.map(lambda x: np.float32(x.astype(jnp.bfloat16)), variables)
  assert_same(convert.to_variables(half, model), rounded)
  with pytest.raises(InputError, match=r'head.bias of the state_dict is int32'):
    convert.to_variables(state_dict | {'head.bias': np.zeros(10, np.int32)}, model)
  with pytest.raises(InputError, match=r'1 missing .*head/bias'):
    convert.to_state_dict(variables | {'params': without_bias(variables['params'])}, model)


def without_bias(params):
  return params | {'head': {'kernel': params['head']['kernel']}}


def test_stages_are_stacked_and_unstacked():
  block = {'conv1': {'kernel': np.arange(24.0).reshape(3, 1, 2, 4)}}
  stacked = {'params': {'stage1_block1': {'a': np.ones(2)}, 'stage1_rest': block}}
  blocks = convert.unstack(stacked)
  assert list(blocks['params']) == [f'stage1_block{i}' for i in (1, 2, 3, 4)]
  kernel = blocks['params']['stage1_block3']['conv1']['kernel']
  np.testing.assert_array_equal(kernel, np.arange(8.0, 16.0).reshape(1, 2, 4))
  assert_same(convert.stack(blocks, stacked), stacked)
  shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), stacked)
  assert_same(convert.stack(blocks, shapes), stacked)
  unstacked = convert.unstack(shapes)['params']['stage1_block4']['conv1']['kernel']
  assert unstacked.shape == (1, 2, 4)
  del blocks['params']['stage1_block3']
  with pytest.raises(InputError, match='stage1_block3'):
    convert.stack(blocks, stacked)


class Block(nn.Module):
  """A residual block that keeps its shape, made to be scanned."""

  train: bool

  @nn.compact
  def __call__(self, x, _):
    y = nn.Conv(3, (3, 3), name='conv1')(x)
    return x + nn.BatchNorm(use_running_average=not self.train, name='norm1')(y), None


class Scanned(nn.Module):
  """A stage of one block and three more under one name."""

  @nn.compact
  def __call__(self, images, *, train):
    x, _ = Block(train, name='stage1_block1')(images, None)
    scan = nn.scan(
      Block, {'params': 0, 'batch_stats': 0}, split_rngs={'params': True}, length=3
    )  # fmt: skip
    x, _ = scan(train, name='stage1_rest')(x, None)
    return nn.Dense(2, name='head')(jnp.mean(x, (1, 2)))


def test_a_scanned_stage_has_the_names_of_its_blocks():
  model = Scanned()
  variables = filled(model)
  assert variables['params']['stage1_rest']['conv1']['kernel'].shape[0] == 3
  state_dict = convert.to_state_dict(variables, model)
  np.testing.assert_array_equal(
    state_dict['stage1_block4.norm1.running_var'],
    variables['batch_stats']['stage1_rest']['norm1']['var'][2],
  )
  assert_same(convert.to_variables(state_dict, model), variables)


def test_a_transposed_array_is_written_as_it_reads(tmp_path):
  array = np.arange(6, dtype=np.float32).reshape(2, 3).T
  files.write(tmp_path / 'x.safetensors', {'x': array}, {'format': 'pt'})
  np.testing.assert_array_equal(files.read(tmp_path / 'x.safetensors')['x'], array)
  with safetensors.safe_open(tmp_path / 'x.safetensors', 'np') as file:
    assert file.metadata() == {'format': 'pt'}
