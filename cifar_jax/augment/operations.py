"""The operations that learnt policies choose from: Pillow's, to the byte, for a whole batch.

Images are float32 `[batch, height, width, 3]` that hold whole numbers from 0 to 255. Each image can
have another operation: all operations are computed for all images and one is selected, as a
vectorised `lax.switch` would do. But shears, translations and rotations share one gather, and most
of the others fuse into one pass. On CPUs the histograms of `equalize` take half of the time.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from cifar_jax.augment import affine

Operation = Callable[[jax.Array], jax.Array]
OperationsAndArguments = tuple[jax.Array, jax.Array]

MOVING = ('shear_x', 'shear_y', 'translate_x', 'translate_y', 'rotate')
NAMES = (
  *('identity', *MOVING),
  *('autocontrast', 'invert', 'equalize', 'solarize', 'posterize'),
  *('contrast', 'color', 'brightness', 'sharpness'),
)
INDEX = {name: i for i, name in enumerate(NAMES)}
BLACK = (0.0, 0.0, 0.0)
MAX_LEVEL = 10.0

# For each operation: its argument at the lowest and at the highest level, whether the argument is
# truncated to a whole number, and whether its sign is random. These are AutoAugment's; source:
# `augmentation_transforms.py` of tensorflow/models, research/autoaugment. The units are pixels of
# an image of 32 (`translate`), degrees (`rotate`), the smallest inverted value (`solarize`),
# the number of bits that stay (`posterize`) and Pillow's factors.
Ranges = Mapping[str, tuple[float, float, bool, bool]]
RANGES: Ranges = {
  'shear_x': (0.0, 0.3, False, True),
  'shear_y': (0.0, 0.3, False, True),
  'translate_x': (0.0, 10.0, True, True),
  'translate_y': (0.0, 10.0, True, True),
  'rotate': (0.0, 30.0, True, True),
  'solarize': (256.0, 0.0, True, False),
  'posterize': (4.0, 0.0, True, False),
  'contrast': (0.1, 1.9, False, False),
  'color': (0.1, 1.9, False, False),
  'brightness': (0.1, 1.9, False, False),
  'sharpness': (0.1, 1.9, False, False),
}


def arguments(
  operation: jax.Array,
  level: jax.Array,
  negate: jax.Array,
  ranges: Ranges = RANGES,
  max_level: float = MAX_LEVEL,
) -> jax.Array:
  """Computes the arguments of operations at given levels.

  Args:
    operation: int32 `[...]`, indices into `NAMES`.
    level: float32 `[...]`, from 0 to `max_level`.
    negate: bool `[...]`, whether an operation with two directions uses the negative one.
    ranges: the arguments at the lowest and the highest level; operations without strength are
      absent.
    max_level: the highest level.

  Returns:
    float32 `[...]`, in the units of the operation.
  """
  table = [ranges.get(name, (0.0, 0.0, False, False)) for name in NAMES]
  first, last, whole, signed = jnp.moveaxis(jnp.array(table, jnp.float32)[operation], -1, 0)
  change = (last - first) * level / max_level
  value = first + jnp.where(whole > 0, jnp.trunc(change), change)
  return jnp.where((signed > 0) & negate, -value, value)


def apply(
  images: jax.Array, operation: jax.Array, argument: jax.Array, fill: jax.Array
) -> jax.Array:
  """Applies one operation to each image.

  Args:
    images: float32 `[batch, height, width, 3]`, whole numbers from 0 to 255.
    operation: int32 `[batch]`, indices into `NAMES`.
    argument: float32 `[batch]`, from `arguments`.
    fill: float32 `[3]`, the colour of points outside the image.

  Returns:
    Images of the same shape, also of whole numbers except where `fill` is not whole.
  """

  def if_any(names: tuple[str, ...], function: Operation, images: jax.Array) -> jax.Array:
    # The condition is seldom false. But without it XLA on CPUs computes the function again wherever
    # its result is used, which doubles the time of the whole. On GPUs XLA may copy a condition to
    # the host and wait for it, so there the function is always computed.
    is_used = jnp.isin(operation, jnp.array([INDEX[name] for name in names]))

    def on_cpu(images: jax.Array) -> jax.Array:
      return jax.lax.cond(jnp.any(is_used), function, lambda images: images, images)

    return jax.lax.platform_dependent(images, cpu=on_cpu, default=function)

  maps = _maps(operation, argument, *images.shape[1:3])
  images = if_any(MOVING, lambda images: affine.warp_nearest(images, maps, fill), images)
  argument = argument[:, None, None, None]
  results = {
    'autocontrast': _autocontrast(images),
    'invert': 255.0 - images,
    'equalize': if_any(('equalize',), _equalize, images),
    'solarize': jnp.where(images < argument, images, 255.0 - images),
    'posterize': _posterize(images, argument),
    'contrast': _blend(_mean_grey(images), images, argument),
    'color': _blend(_grey(images), images, argument),
    'brightness': _blend(jnp.zeros(()), images, argument),
    'sharpness': _blend(if_any(('sharpness',), _smooth, images), images, argument),
  }
  operation = operation[:, None, None, None]
  for name, result in results.items():
    images = jnp.where(operation == INDEX[name], result, images)
  return images


def apply_in_turn(
  images: jax.Array, operations_and_arguments: OperationsAndArguments, fill: tuple[float, ...]
) -> jax.Array:
  """Applies several operations to each image, one after another.

  Args:
    images: float32 `[batch, height, width, 3]` in [0, 1]; they are rounded to bytes.
    operations_and_arguments: indices int32 and arguments float32, both `[n, batch]`.
    fill: the colour of points outside an image, for each channel, in [0, 1].

  Returns:
    float32 of the same shape, in [0, 1].
  """
  outside = 255.0 * jnp.array(fill, jnp.float32)

  def step(values: jax.Array, step_inputs: OperationsAndArguments) -> tuple[jax.Array, None]:
    return apply(values, *step_inputs, outside), None

  values, _ = jax.lax.scan(step, jnp.round(255.0 * images), operations_and_arguments)
  return values / 255.0


def _maps(operation: jax.Array, argument: jax.Array, height: int, width: int) -> jax.Array:
  """Computes affine maps from points of the result to their sources; most map nothing.

  Args:
    operation: int32 `[batch]`, indices into `NAMES`.
    argument: float32 `[batch]`.
    height: height of the images.
    width: width of the images.

  Returns:
    float32 `[batch, 2, 3]`, to multiply with (row, column, 1).
  """

  def argument_of(name: str) -> jax.Array:
    return jnp.where(operation == INDEX[name], argument, 0.0)

  rotation = affine.rotation(jnp.deg2rad(argument_of('rotate')), height, width)
  down, right = (
    argument_of('translate_y') * (height / 32),
    argument_of('translate_x') * (width / 32),
  )
  change = jnp.zeros_like(rotation)
  change = change.at[:, 0, 1].set(argument_of('shear_y')).at[:, 1, 0].set(argument_of('shear_x'))
  return rotation + change.at[:, 0, 2].set(down).at[:, 1, 2].set(right)


def _blend(base: jax.Array, images: jax.Array, factor: jax.Array) -> jax.Array:
  """Pillow's ImageEnhance: factors below 1 blend towards `base`, larger ones away from it."""
  return jnp.floor(jnp.clip(base + factor * (images - base), 0.0, 255.0))


def _grey(images: jax.Array) -> jax.Array:
  """Pillow's mode L, in fixed point: the weights of BT.601 in units of 2**-16."""
  red, green, blue = (images[..., i : i + 1].astype(jnp.int32) for i in range(3))
  return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(jnp.float32)


def _mean_grey(images: jax.Array) -> jax.Array:
  """The mean grey of each image, rounded: `[batch, 1, 1, 1]`."""
  return jnp.floor(jnp.mean(_grey(images), axis=(1, 2, 3), keepdims=True) + 0.5)


def _smooth(images: jax.Array) -> jax.Array:
  """Pillow's filter SMOOTH: means of 3 x 3 pixels with weight 5 in the middle; keeps the border."""
  height, width = images.shape[1:3]
  rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
  total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4.0 * images[:, 1:-1, 1:-1]
  smooth = jnp.pad(jnp.floor(total / 13.0 + 0.5), ((0, 0), (1, 1), (1, 1), (0, 0)))
  rows, columns = jnp.arange(height)[:, None, None], jnp.arange(width)[:, None]
  border = (rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1)
  return jnp.where(border, images, smooth)


def _posterize(images: jax.Array, bits: jax.Array) -> jax.Array:
  """Sets all but the first `bits` bits of each value to zero."""
  step = jnp.exp2(8.0 - bits)
  return step * jnp.floor(images / step)


def _autocontrast(images: jax.Array) -> jax.Array:
  """Stretches each channel to the full scale; a channel of a single value stays as it is."""
  low = jnp.min(images, axis=(1, 2), keepdims=True)
  high = jnp.max(images, axis=(1, 2), keepdims=True)
  scale = 255.0 / jnp.maximum(high - low, 1.0)
  # 1e-4 corrects float32 results just below a whole number, and is too small to reach the next one.
  stretched = jnp.floor((images - low) * scale + 1e-4)
  return jnp.where(high > low, stretched, images)


def _equalize(images: jax.Array) -> jax.Array:
  """Gives each channel a flat histogram, with Pillow's integer arithmetic."""
  batch, height, width, channels = images.shape
  table = 256 * jnp.arange(batch * channels).reshape(batch, 1, 1, channels)
  index = table + jnp.clip(images, 0.0, 255.0).astype(jnp.int32)
  # One flat scatter of integers is the fastest way to count on CPUs.
  counts = jnp.zeros(256 * batch * channels, jnp.int32)
  counts = counts.at[index.reshape(-1)].add(1, mode='promise_in_bounds').reshape(-1, 256)
  below = jnp.cumsum(counts, axis=-1) - counts
  last = jnp.argmax((counts > 0) * jnp.arange(256), axis=-1, keepdims=True)
  step = (height * width - jnp.take_along_axis(counts, last, axis=-1)) // 255
  lookup = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
  lookup = jnp.where(step > 0, lookup, jnp.arange(256))
  return lookup.reshape(-1).at[index].get(mode='promise_in_bounds').astype(jnp.float32)
