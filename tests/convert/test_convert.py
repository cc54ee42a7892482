"""Conversions from PyTorch and back: layouts, stages and mismatches.

`benchmarks/torch_parity.py` compares the logits of whole nets, as that needs PyTorch.
"""

import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from cifar_jax import models
from cifar_jax.convert import engine, files, layouts, names, report, stages
from cifar_jax.errors import InputError
from tests.support import fill
from tests.support.filled import filled_variables


def assert_equal(left: Any, right: Any) -> None:
  """Compares two trees of arrays to the bit."""
  jax.tree.map(np.testing.assert_array_equal, left, right)


class FlatteningNet(nn.Module):
  """A net with a grouped, asymmetric convolution, a flattened map of 2x4, and two dense layers."""

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    x = nn.Conv(4, (3, 5), padding='SAME', name='stem')(images)
    x = nn.Conv(6, (3, 1), feature_group_count=2, padding='SAME', name='grouped')(x)
    x = nn.max_pool(nn.relu(x), (16, 8), strides=(16, 8))
    x = nn.relu(jnp.reshape(x, (len(x), -1))).astype(self.dtype)
    x = nn.Dropout(0.5, deterministic=not train)(x)
    x = nn.relu(nn.Dense(48, dtype=self.dtype, name='hidden')(x))  # as wide as the map has values
    x = nn.Dense(5, name='head')(x)
    return x.astype(jnp.float32)


def compute_as_torch(state_dict: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
  """Returns the logits of `FlatteningNet` as Torch computes them, channels first, in float64."""
  x = images.transpose(0, 3, 1, 2)

  def convolve(x: np.ndarray, name: str, padding: tuple[int, int], groups: int = 1) -> np.ndarray:
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

  x = convolve(convolve(x, 'stem', (1, 2)), 'grouped', (1, 0), groups=2)
  x = np.maximum(x, 0).reshape(2, 6, 2, 16, 4, 8).max((3, 5)).reshape(2, -1)
  x = np.maximum(x @ state_dict['hidden.weight'].T + state_dict['hidden.bias'], 0)
  return x @ state_dict['head.weight'].T + state_dict['head.bias']


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_trace_finds_the_dense_layer_that_reads_a_flattened_map(dtype: Any) -> None:
  assert layouts.trace(FlatteningNet(dtype))[1] == {'hidden': (2, 4, 6)}


def test_trace_does_not_take_a_pooled_map_for_a_flattened_one() -> None:
  assert all(shape[:2] == (1, 1) for shape in layouts.trace(models.create('resnet8'))[1].values())


def test_a_converted_state_dict_gives_the_same_logits_in_torchs_layouts() -> None:
  model, images = FlatteningNet(), fill.images()
  variables = filled_variables(model)
  state_dict = engine.to_state_dict(variables, model)
  assert state_dict['stem.weight'].shape == (4, 3, 3, 5)
  assert state_dict['grouped.weight'].shape == (6, 2, 3, 1)
  assert state_dict['hidden.weight'].shape == (48, 48)
  logits = jax.jit(lambda variables: model.apply(variables, images, train=False))(variables)
  np.testing.assert_allclose(logits, compute_as_torch(state_dict, images), rtol=1e-4, atol=1e-4)
  assert_equal(engine.to_variables(state_dict, model), variables)


def test_our_names_convert_to_torch_and_back_to_the_bit() -> None:
  model = models.create('resnet8', shortcut='project')
  variables = filled_variables(model)
  state_dict = engine.to_state_dict(variables, model)
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
  back = engine.to_variables(state_dict, model)
  structures: list[Any] = [jax.tree.structure(tree) for tree in (back, variables)]
  assert structures[0] == structures[1]
  assert_equal(back, variables)


def test_a_dense_layer_can_be_a_1x1_convolution_in_torch() -> None:
  class Net(nn.Module):
    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
      return nn.Dense(2, name='squeeze')(jnp.mean(images, (1, 2)))

  rules = names.Rules(names.table(('squeeze', 'se.conv1')), pointwise=r'se\.conv1')
  variables = filled_variables(Net())
  state_dict = engine.to_state_dict(variables, Net(), rules)
  assert state_dict['se.conv1.weight'].shape == (2, 3, 1, 1)
  assert_equal(engine.to_variables(state_dict, Net(), rules), variables)


def test_mismatches_are_listed_in_full_and_summed_up_in_one_line() -> None:
  model = models.create('resnet8')
  state_dict = engine.to_state_dict(filled_variables(model), model)
  for name in [name for name in state_dict if name.startswith('stage1')]:
    state_dict[f'other.{name}'] = state_dict.pop(name)
  state_dict['head.weight'] = state_dict['head.weight'].T
  outcome = engine.compare(state_dict, model)
  assert len(outcome.missing) == len(outcome.unknown) == 10 and not outcome.complete
  assert outcome.misshapen == (report.Misshapen('head.weight', (64, 10), (10, 64)),)
  with pytest.raises(InputError) as error:
    engine.to_variables(state_dict, model)
  message = str(error.value)
  assert '\n' not in message and message.count('stage1_') == 6
  assert all(words in message for words in ('10 missing', '10 unknown', '[64, 10], not [10,'))


def test_other_float_dtypes_and_parallel_nets_convert_and_integers_are_refused() -> None:
  model = models.create('resnet8')
  variables = filled_variables(model)
  state_dict = engine.to_state_dict(variables, model)
  parallel = {f'module.{name}': array.astype(np.float64) for name, array in state_dict.items()}
  assert_equal(engine.to_variables(parallel, model), variables)
  half = {name: array.astype(jnp.bfloat16) for name, array in state_dict.items()}
  rounded = jax.tree.map(lambda x: np.float32(x.astype(jnp.bfloat16)), variables)
  assert_equal(engine.to_variables(half, model), rounded)
  with pytest.raises(InputError, match=r'head.bias of the state_dict is int32'):
    engine.to_variables(state_dict | {'head.bias': np.zeros(10, np.int32)}, model)
  with pytest.raises(InputError, match=r'1 missing .*head/bias'):
    params = variables['params'] | {'head': {'kernel': variables['params']['head']['kernel']}}
    engine.to_state_dict(variables | {'params': params}, model)


@pytest.mark.parametrize(
  ('name', 'value', 'words'),
  [
    ('head.weight', np.nan, 'head.weight of the state_dict has values that are not finite'),
    ('stem_norm.running_mean', np.inf, 'not finite'),
    ('stem_norm.running_var', -1e-3, 'stem_norm.running_var of the state_dict is a variance'),
  ],
)
def test_values_that_no_trained_net_has_are_refused(name: str, value: float, words: str) -> None:
  model = models.create('resnet8')
  state_dict = engine.to_state_dict(filled_variables(model), model)
  state_dict[name].flat[1] = value
  with pytest.raises(InputError, match=words):
    engine.to_variables(state_dict, model)


def test_unstack_splits_a_scanned_stage_and_stack_restores_it() -> None:
  block = {'conv1': {'kernel': np.arange(24.0).reshape(3, 1, 2, 4)}}
  stacked = {'params': {'stage1_block1': {'a': np.ones(2)}, 'stage1_rest': block}}
  blocks = stages.unstack(stacked)
  assert list(blocks['params']) == [f'stage1_block{i}' for i in (1, 2, 3, 4)]
  kernel = blocks['params']['stage1_block3']['conv1']['kernel']
  np.testing.assert_array_equal(kernel, np.arange(8.0, 16.0).reshape(1, 2, 4))
  assert_equal(stages.stack(blocks, stacked), stacked)
  shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), stacked)
  assert_equal(stages.stack(blocks, shapes), stacked)
  unstacked = stages.unstack(shapes)['params']['stage1_block4']['conv1']['kernel']
  assert unstacked.shape == (1, 2, 4)
  del blocks['params']['stage1_block3']
  with pytest.raises(InputError, match='stage1_block3'):
    stages.stack(blocks, stacked)


class Block(nn.Module):
  """A residual block that keeps the shape of its input, so that it can be scanned."""

  train: bool

  @nn.compact
  def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
    y = nn.Conv(3, (3, 3), name='conv1')(x)
    return x + nn.BatchNorm(use_running_average=not self.train, name='norm1')(y), None


class Scanned(nn.Module):
  """A net with one stage of a block and three scanned ones."""

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    x, _ = Block(train, name='stage1_block1')(images, None)
    scan = nn.scan(
      Block, {'params': 0, 'batch_stats': 0}, split_rngs={'params': True}, length=3
    )  # fmt: skip
    x, _ = scan(train, name='stage1_rest')(x, None)
    return nn.Dense(2, name='head')(jnp.mean(x, (1, 2)))


def test_a_scanned_stage_is_named_block_by_block_in_a_state_dict() -> None:
  model = Scanned()
  variables = filled_variables(model)
  assert variables['params']['stage1_rest']['conv1']['kernel'].shape[0] == 3
  state_dict = engine.to_state_dict(variables, model)
  np.testing.assert_array_equal(
    state_dict['stage1_block4.norm1.running_var'],
    variables['batch_stats']['stage1_rest']['norm1']['var'][2],
  )
  assert_equal(engine.to_variables(state_dict, model), variables)


def test_a_transposed_array_is_written_in_its_logical_order(tmp_path: pathlib.Path) -> None:
  array = np.arange(6, dtype=np.float32).reshape(2, 3).T
  files.write(tmp_path / 'x.safetensors', {'x': array}, {'format': 'pt'})
  np.testing.assert_array_equal(files.read(tmp_path / 'x.safetensors')['x'], array)
  with safetensors.safe_open(tmp_path / 'x.safetensors', 'np') as file:
    assert file.metadata() == {'format': 'pt'}
