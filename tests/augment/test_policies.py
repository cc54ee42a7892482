"""Operations against Pillow, and how often and how strongly the policies apply them."""

import collections
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cifar_jax.augment import operations, policies

INDEX = operations.INDEX
IMAGES = 16


def photos() -> np.ndarray:
  """Smooth images of low contrast, with some flat channels: uint8 `[IMAGES, 32, 32, 3]`."""
  random = np.random.RandomState(0)
  phase = random.normal(size=(3, IMAGES, 1, 1, 3))
  rows, columns = (axis[..., None] / 32 for axis in np.mgrid[:32, :32])
  images = 120 + 40 * np.sin(5 * phase[0] * rows + 6 * phase[1] * columns + 3 * phase[2])
  images += random.randint(-9, 9, images.shape)
  images[0, :, :, 1] = 77
  images[1, :, :, 0] = np.where(np.arange(32) < 31, 10, 200)
  return images.clip(0, 255).astype(np.uint8)


def shifted(image: Image.Image, *matrix: float) -> Image.Image:
  """The image under Pillow's affine map with these six coefficients."""
  return image.transform((32, 32), Image.Transform.AFFINE, matrix, fillcolor=(9, 8, 7))


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
  'identity': lambda image, x: image,
  'shear_x': lambda image, x: shifted(image, 1, x, 0, 0, 1, 0),
  'shear_y': lambda image, x: shifted(image, 1, 0, 0, x, 1, 0),
  'translate_x': lambda image, x: shifted(image, 1, 0, x, 0, 1, 0),
  'translate_y': lambda image, x: shifted(image, 1, 0, 0, 0, 1, x),
  'rotate': lambda image, x: image.rotate(x, fillcolor=(9, 8, 7)),
  'autocontrast': lambda image, x: ImageOps.autocontrast(image),
  'invert': lambda image, x: ImageOps.invert(image),
  'equalize': lambda image, x: ImageOps.equalize(image),
  'solarize': lambda image, x: ImageOps.solarize(image, int(x)),
  'posterize': lambda image, x: ImageOps.posterize(image, int(x)),
  'contrast': lambda image, x: ImageEnhance.Contrast(image).enhance(x),
  'color': lambda image, x: ImageEnhance.Color(image).enhance(x),
  'brightness': lambda image, x: ImageEnhance.Brightness(image).enhance(x),
  'sharpness': lambda image, x: ImageEnhance.Sharpness(image).enhance(x),
}
apply = jax.jit(operations.apply)


@pytest.mark.parametrize('name', operations.NAMES)
def test_operations_equal_pillows(name: str) -> None:
  images = photos()
  operation = jnp.full(IMAGES, INDEX[name])
  level = jnp.linspace(0, 9.7, IMAGES)  # at 10 Pillow refuses to posterize to 0 bits
  argument = operations.arguments(operation, level, jnp.arange(IMAGES) % 2 == 1)
  fill = jnp.array([9.0, 8.0, 7.0])
  out = np.asarray(apply(jnp.asarray(images, jnp.float32), operation, argument, fill))
  pillow = np.stack(
    [
      np.asarray(PILLOW[name](Image.fromarray(image), float(x)))
      for image, x in zip(images, argument, strict=True)
    ]
  )
  different = np.abs(out - pillow) > 0.5
  # Points on the edge between two pixels and values between two bytes may be rounded differently.
  assert different.mean() < 0.004, different.mean(axis=(1, 2, 3))
  if name not in ('shear_x', 'shear_y', 'rotate'):
    assert np.abs(out - pillow).max() <= 1.0
  assert name == 'identity' or np.any(out != images)


def test_a_gpu_never_asks_the_host_which_operations_a_batch_needs() -> None:
  traced = apply.trace(
    jnp.zeros((4, 32, 32, 3)), jnp.zeros(4, jnp.int32), jnp.zeros(4), jnp.ones(3)
  )

  def num_conditions(platform: str) -> int:
    return traced.lower(lowering_platforms=(platform,)).as_text().count('stablehlo.case')

  # What both have are choices of a platform. Their conditions are constants, which XLA removes.
  assert num_conditions('cpu') - num_conditions('cuda') == 3


def test_arguments_equal_those_of_the_authors_code() -> None:
  def argument(name: str, level: float, negate: bool = False) -> float:
    arguments = operations.arguments(
      jnp.array([INDEX[name]]), jnp.array([float(level)]), jnp.array([negate])
    )
    return float(arguments[0])

  assert argument('shear_x', 5) == pytest.approx(0.15)
  assert argument('translate_y', 9, negate=True) == -9.0
  assert argument('rotate', 2) == 6.0 and argument('rotate', 2, negate=True) == -6.0
  assert argument('solarize', 2) == 256 - 51 and argument('solarize', 2, negate=True) == 205
  assert argument('posterize', 7) == 2.0
  assert argument('color', 0) == pytest.approx(0.1) and argument('color', 10) == pytest.approx(1.9)


def test_the_policies_have_the_operations_of_the_papers() -> None:
  assert len(policies.AUTOAUGMENT) == 25
  counts = collections.Counter(name for pair in policies.AUTOAUGMENT for name, _, _ in pair)
  assert counts['equalize'] == 9 and counts['autocontrast'] == 7 and counts['translate_y'] == 5
  assert sum(p for pair in policies.AUTOAUGMENT for _, p, _ in pair) == pytest.approx(26.5)
  assert len(policies.RANDAUGMENT) == 14 and 'invert' not in policies.RANDAUGMENT


def test_autoaugment_applies_all_sub_policies_with_their_probabilities() -> None:
  draw = jax.jit(policies.draw_autoaugment, static_argnums=1)
  operation, argument = (np.asarray(array) for array in draw(jax.random.key(0), 4000))
  assert operation.shape == (2, 4000)
  for step in range(2):
    expected: dict[str, float] = collections.defaultdict(float)
    for pair in policies.AUTOAUGMENT:
      expected[pair[step][0]] += pair[step][1] / 25
    for name in set(operations.NAMES) - {'identity'}:
      assert abs(np.mean(operation[step] == INDEX[name]) - expected[name]) < 0.02, name
  # In the pair (shear_y 0.5, translate_y 0.7) both are applied independently.
  sheared = operation[0] == INDEX['shear_y']
  np.testing.assert_allclose(np.unique(np.abs(argument[0][sheared])), [0.21, 0.24], rtol=1e-6)
  assert abs(np.mean(argument[0][sheared] > 0) - 0.5) < 0.15
  assert abs(np.mean(operation[1][sheared & (np.abs(argument[0]) > 0.22)] != 0) - 0.7) < 0.15


def test_randaugment_applies_all_operations_equally_often_at_one_magnitude() -> None:
  draw = jax.jit(policies.draw_randaugment, static_argnums=(1, 2, 3))
  operation, argument = (np.asarray(array) for array in draw(jax.random.key(0), 4000, 3, 6.0))
  assert operation.shape == (3, 4000)
  for step in range(3):
    shares = np.bincount(operation[step], minlength=15) / 4000
    assert shares[INDEX['invert']] == 0.0
    assert np.all(np.abs(np.delete(shares, INDEX['invert']) - 1 / 14) < 0.015)
  assert np.abs(np.corrcoef(operation)[0, 1]) < 0.05
  assert set(np.unique(argument[operation == INDEX['rotate']])) == {-18.0, 18.0}


def test_a_policy_applies_its_operations_one_after_another() -> None:
  images = jnp.asarray(photos(), jnp.float32)
  key, fill = jax.random.key(3), jnp.array([0.5, 0.4, 0.3])
  expected = images
  for operation, argument in zip(*policies.draw_randaugment(key, IMAGES, 2, 9.0), strict=True):
    expected = apply(expected, operation, argument, 255 * fill)
  out = jax.jit(
    lambda key, x: policies.randaugment(
      key, x, num_operations=2, magnitude=9.0, fill=(0.5, 0.4, 0.3)
    )
  )(key, images / 255)
  different = np.abs(255 * np.asarray(out) - expected)
  assert different.max() < 3 and np.mean(different > 0.5) < 0.01  # rounding


def test_trivialaugment_applies_each_operation_at_each_strength() -> None:
  draw = jax.jit(policies.draw_trivialaugment, static_argnums=1)
  operation, argument = (np.asarray(array)[0] for array in draw(jax.random.key(0), 20_000))
  shares = np.bincount(operation, minlength=15) / 20_000
  assert shares[INDEX['invert']] == 0.0
  assert np.all(np.abs(np.delete(shares, INDEX['invert']) - 1 / 14) < 0.01)
  levels = np.arange(31)
  expected = {  # int_parameter and float_parameter of the authors' code, over all levels
    'rotate': {sign * int(level * 135 / 30) for level in levels for sign in (-1, 1)},
    'translate_x': {sign * int(level * 32 / 30) for level in levels for sign in (-1, 1)},
    'solarize': {256 - int(level * 256 / 30) for level in levels},
    'posterize': {8 - int(level * 6 / 30) for level in levels},
  }
  for name, values in expected.items():
    assert set(argument[operation == INDEX[name]]) == values, name
  for name, lowest, highest in (('shear_y', -0.99, 0.99), ('brightness', 0.01, 2.0)):
    drawn = argument[operation == INDEX[name]]
    assert (drawn.min(), drawn.max()) == pytest.approx((lowest, highest))
    assert len(np.unique(np.abs(drawn))) == 31
