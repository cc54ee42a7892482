"""Deformable convolution: its equations, gradients, torchvision's results, and its nets."""

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from cifar_jax import models
from cifar_jax.models import deformable, layers
from tests.models import exact_counts
from tests.support.fake_cifar import message
from tests.support.paths import REFERENCE

TORCH = json.loads((REFERENCE / 'deformable_torch.json').read_text())
# Trainable parameters with 10 classes: of `resnet{depth}` (He et al. 2015, section 4.2); with v2's
# offsets and masks.
RESNET = {20: 269_722, 56: 853_018, 110: 1_727_962}
MODULATED = {20: 355_420, 56: 1_125_664, 110: 2_281_030}

deform_conv2d = jax.jit(deformable.deform_conv2d, static_argnames=('strides', 'padding'))


def normal(seed: int, shape: tuple[int, ...]) -> np.ndarray:
  return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def by_the_equations(
  x: np.ndarray, offsets: np.ndarray, kernel: np.ndarray, mask: np.ndarray, stride: int
) -> np.ndarray:
  """v1's eq. 2 to 4 and v2's eq. 1, as printed: a sum over all pixels q; padding 1, one group."""
  y = np.zeros((*offsets.shape[:3], kernel.shape[-1]))
  q = np.arange(x.shape[1])[:, None], np.arange(x.shape[2])
  for b, i, j in np.ndindex(*offsets.shape[:3]):
    for n, (tap_y, tap_x) in enumerate(np.ndindex(*kernel.shape[:2])):
      p_y = i * stride + tap_y - 1 + offsets[b, i, j, 2 * n]
      p_x = j * stride + tap_x - 1 + offsets[b, i, j, 2 * n + 1]
      g = np.maximum(0, 1 - abs(q[0] - p_y)) * np.maximum(0, 1 - abs(q[1] - p_x))
      y[b, i, j] += mask[b, i, j, n] * np.tensordot(g, x[b]) @ kernel[tap_y, tap_x]
  return y


@pytest.mark.parametrize('stride', [1, 2])
def test_without_offsets_it_is_an_ordinary_convolution(stride: int) -> None:
  x, kernel = jnp.array(normal(0, (2, 6, 5, 4))), jnp.array(normal(1, (3, 3, 4, 3)))
  strides, padding = (stride, stride), ((1, 1), (1, 1))
  expected = jax.lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  offsets, ones = np.zeros((*expected.shape[:3], 36)), np.ones((*expected.shape[:3], 18))
  for mask in (None, ones):  # two groups
    y = deform_conv2d(x, offsets, kernel, mask, strides=strides)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('stride', [1, 2])
def test_results_are_those_of_the_papers_equations(stride: int) -> None:
  x, kernel, size = normal(0, (2, 4, 5, 2)), normal(1, (3, 3, 2, 3)), (4 // stride, -(-5 // stride))
  offsets, mask = 2 * normal(2, (2, *size, 18)), normal(3, (2, *size, 9))
  y = deform_conv2d(x, offsets, kernel, mask, strides=(stride, stride))
  np.testing.assert_allclose(
    y, by_the_equations(x, offsets, kernel, mask, stride), rtol=1e-4, atol=1e-4
  )


def test_whole_offsets_shift_one_tap_down_and_to_the_right() -> None:
  x, kernel = normal(0, (1, 5, 5, 1)), np.zeros((3, 3, 1, 1), np.float32)
  kernel[1, 2] = 1.0  # row 1, column 2: tap 5, which reads the next pixel to the right
  offsets = np.zeros((1, 5, 5, 9, 2), np.float32)
  offsets[..., 5, :] = 2.0, -3.0  # y before x
  y = deform_conv2d(x, offsets.reshape(1, 5, 5, 18), kernel)
  expected = np.zeros_like(x)
  expected[:, :3, 2:] = x[:, 2:, :3]
  np.testing.assert_array_equal(y, expected)


def test_outside_is_zero_and_the_border_is_interpolated_with_it() -> None:
  x = jnp.ones((1, 3, 3, 2))
  positions = jnp.array([(-0.25, 1), (1, 2.5), (2.75, -0.5), (-1, 1), (1, 3), (-1e9, 1), (1, 1e9)])
  values = jax.jit(deformable.bilinear)(x, positions[None, :, None])
  np.testing.assert_allclose(values[0, :, 0, 0], [0.75, 0.5, 0.125, 0, 0, 0, 0])


def test_each_group_of_offsets_moves_its_channels_only() -> None:
  x, kernel = normal(0, (1, 4, 4, 6)), np.eye(6, dtype=np.float32)[None, None]
  offsets = np.zeros((1, 4, 4, 2, 2), np.float32)
  offsets[..., 1, 0] = 1.0  # the second group reads a row below
  y = deform_conv2d(x, offsets.reshape(1, 4, 4, 4), kernel, padding=((0, 0), (0, 0)))
  np.testing.assert_array_equal(y[..., :3], x[..., :3])
  np.testing.assert_array_equal(y[:, :3, :, 3:], x[:, 1:, :, 3:])
  assert not np.any(y[:, 3, :, 3:])


def test_gradients_are_those_of_finite_differences() -> None:
  with jax.enable_x64(True):
    x, kernel = normal(0, (1, 3, 3, 2)).astype(float), normal(1, (3, 3, 2, 2)).astype(float)
    # Positions between the pixels, where interpolation has a derivative; some outside the image.
    random = np.random.RandomState(2)
    offsets = random.randint(-2, 2, (1, 3, 3, 18)) + random.uniform(0.1, 0.9, (1, 3, 3, 18))
    mask = random.uniform(size=(1, 3, 3, 9))
    check_grads(deform_conv2d, (x, offsets, kernel, mask), order=1, modes=['rev'], eps=1e-5)


@pytest.mark.parametrize('name', TORCH['cases'])
def test_results_and_gradients_are_those_of_torchvision(name: str) -> None:
  case = {key: np.array(value, np.float32) for key, value in TORCH['cases'][name].items()}
  stride = 2 if 'stride 2' in name else 1
  inputs = {key: case[key] for key in ('x', 'offsets', 'kernel', 'mask') if key in case}
  y, vjp = jax.vjp(lambda inputs: deform_conv2d(**inputs, strides=(stride, stride)), inputs)
  np.testing.assert_allclose(y, case['y'], rtol=1e-5, atol=1e-5)
  for key, gradient in jax.jit(vjp)(case['cotangent'])[0].items():
    np.testing.assert_allclose(gradient, case[f'to_{key}'], rtol=1e-5, atol=2e-5, err_msg=key)


@pytest.mark.parametrize('modulated', [False, True])
def test_a_layer_starts_as_an_ordinary_convolution(modulated: bool) -> None:
  x = normal(0, (2, 6, 6, 4))
  fields: dict[str, Any] = {
    'strides': (2, 2),
    'kernel_init': lambda key, shape, dtype: normal(1, shape),
  }
  layer = deformable.DeformableConv(3, modulated=modulated, offset_groups=2, **fields)
  y, variables = jax.jit(layer.init_with_output)(jax.random.key(0), x)
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(variables['params']['offset_conv']))
  plain: Any = layers.conv3x3(3, 2).apply({'params': {'kernel': normal(1, (3, 3, 4, 3))}}, x)
  np.testing.assert_allclose(y, plain * (0.5 if modulated else 1.0), rtol=1e-5, atol=1e-5)


def test_offsets_are_exact_in_bfloat16() -> None:
  # Above 32 bfloat16 has steps of a quarter, so positions must be float32.
  stripes = (jnp.arange(40) % 2).reshape(1, 40, 1, 1).astype(jnp.bfloat16)
  offsets = jnp.zeros((1, 40, 1, 2), jnp.bfloat16).at[..., 0].set(0.125)
  one = jnp.ones((1, 1, 1, 1), jnp.bfloat16)
  y = deform_conv2d(stripes, offsets, one, padding=((0, 0), (0, 0)))
  assert y.dtype == jnp.bfloat16 and y[0, 33, 0, 0] == 0.875


@pytest.mark.parametrize('depth', RESNET)
@pytest.mark.parametrize('modulated', [False, True])
def test_counts_are_resnets_and_those_of_the_offsets(depth: int, modulated: bool) -> None:
  # The last of 3 stages of n blocks has 2n convolutions, the first of 32 channels, the others of
  # 64. The offset convolution of each has 2, or 3, numbers for each of 9 taps, and a bias.
  numbers, n = (27 if modulated else 18), (depth - 2) // 6
  offsets = (9 * 32 + 1) * numbers + (2 * n - 1) * (9 * 64 + 1) * numbers
  count = RESNET[depth] + offsets
  if modulated:
    model = models.create(f'deformable_resnet{depth}', modulated=True)
    assert models.num_params(model) == count == MODULATED[depth]
  else:  # the head has 64 inputs
    assert exact_counts.DEFORMABLE[f'deformable_resnet{depth}'] == (count, count + 90 * (64 + 1))


def test_only_the_last_stage_is_deformable_and_other_parameters_are_named_as_in_resnet() -> None:
  params = models.abstract_variables(models.create('deformable_resnet14'))['params']
  for name, block in params.items():
    for conv in ('conv1', 'conv2'):
      assert 'block' not in name or ('offset_conv' in block[conv]) == name.startswith('stage3')
      if name.startswith('stage3'):
        del block[conv]['offset_conv']
  resnet = models.abstract_variables(models.create('resnet14'))['params']
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, resnet)


def test_dtypes_are_kept_in_bfloat16_with_stochastic_depth() -> None:
  model = models.create(
    'deformable_resnet8', modulated=True, dtype='bfloat16', survival_probability=0.5
  )
  variables = models.abstract_variables(model)
  images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)

  def train(variables: Any, images: jax.Array) -> Any:
    rngs = {'drop_path': jax.random.key(0)}
    return model.apply(variables, images, train=True, rngs=rngs, mutable=['batch_stats'])

  logits, updates = jax.eval_shape(train, variables, images)
  assert logits.shape == (2, 10)
  assert {leaf.dtype for leaf in jax.tree.leaves((logits, variables, updates))} == {
    np.dtype('float32')
  }


def convolve_with_offsets(*shape: int) -> Callable[[], object]:
  """A call of `deform_conv2d` with offsets of a shape, on an image of 4x4 pixels."""
  return lambda: deformable.deform_conv2d(
    jnp.ones((1, 4, 4, 3)), jnp.ones(shape), jnp.ones((3, 3, 3, 2))
  )


@pytest.mark.parametrize(
  ('call', 'words'),
  [
    (lambda: deformable.DeformableConv(3, offset_groups=0), ['offset_groups', '0']),
    (convolve_with_offsets(1, 4, 4, 36), ['2 groups', '3 channels']),
    (convolve_with_offsets(1, 4, 4, 20), ['offsets', '20', '18']),
    (convolve_with_offsets(1, 2, 2, 18), ['offsets', '(1, 2, 2, 18)', '(1, 4, 4, 18)']),
  ],
)
def test_shapes_that_do_not_fit_are_refused(call: Callable[[], object], words: list[str]) -> None:
  text = message(call)
  assert all(word in text for word in words), text
