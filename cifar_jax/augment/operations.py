"""The operations that learnt policies choose from: Pillow's, to the byte, over a whole batch.

Images are float32 `[batch, height, width, 3]` that hold whole numbers from 0 to 255. Each image has
an operation of its own: all are computed for all images and one is selected, as a vectorised
`lax.switch` would do. But shears, shifts and turns share one gather, and most of the others fuse
into one pass. Half of the time on CPUs goes into the histograms of `equalize`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

import cifar_jax.augment.geometric as geometric

Operation = Callable[[jax.Array], jax.Array]

MOVING = ('shear_x', 'shear_y', 'translate_x', 'translate_y', 'rotate')
NAMES = (
  *('identity', *MOVING),
  *('autocontrast', 'invert', 'equalize', 'solarize', 'posterize'),
  *('contrast', 'color', 'brightness', 'sharpness'),
)
INDEX = {name: i for i, name in enumerate(NAMES)}
MAX_LEVEL = 10.0

# Argument of each at level 0 and 10, whether it is cut to a whole number, and whether its sign is
# drawn: `augmentation_transforms.py` of tensorflow/models, research/autoaugment. In pixels of an
# image of 32 (`translate`), degrees, the least value inverted, bits kept, and Pillow's factors.
_RANGES: dict[str, tuple[float, float, bool, bool]] = {
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
_TABLE = tuple(_RANGES.get(name, (0.0, 0.0, False, False)) for name in NAMES)


def arguments(operation: jax.Array, level: jax.Array, negate: jax.Array) -> jax.Array:
  """What an operation is called with at a level.

  Args:
    operation: int32 `[...]`, indices into `NAMES`.
    level: float32 `[...]`, from 0 to `MAX_LEVEL`.
    negate: bool `[...]`, the sign of those that have two directions.

  Returns:
    float32 `[...]`, in the operation's own units.
  """
  first, last, whole, signed = jnp.moveaxis(jnp.array(_TABLE, jnp.float32)[operation], -1, 0)
  change = (last - first) * level / MAX_LEVEL
  value = first + jnp.where(whole > 0, jnp.trunc(change), change)
  return jnp.where((signed > 0) & negate, -value, value)


def apply(
  images: jax.Array, operation: jax.Array, argument: jax.Array, fill: jax.Array
) -> jax.Array:
  """Applies one operation to each image.

  Args:
    images: as the module says.
    operation: int32 `[batch]`, indices into `NAMES`.
    argument: float32 `[batch]`, from `arguments`.
    fill: float32 `[3]`, what comes in from outside of the image.

  Returns:
    Images of the same form (with `fill` wherever it came in).
  """

  def if_any(names: tuple[str, ...], function: Operation, images: jax.Array) -> jax.Array:
    # Seldom false: it keeps XLA on CPUs from computing the function anew wherever it is used, which
    # took twice the time in all.
    asked = jnp.isin(operation, jnp.array([INDEX[name] for name in names]))
    return jax.lax.cond(jnp.any(asked), function, lambda images: images, images)

  maps = _maps(operation, argument, *images.shape[1:3])
  images = if_any(MOVING, lambda images: geometric.warp_nearest(images, maps, fill), images)
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


def _maps(operation: jax.Array, argument: jax.Array, height: int, width: int) -> jax.Array:
  """From points of the result to their sources, `[batch, 2, 3]`; most operations move nothing."""

  def of(name: str) -> jax.Array:
    return jnp.where(operation == INDEX[name], argument, 0.0)

  rotation = geometric.rotation(jnp.deg2rad(of('rotate')), height, width)
  other = jnp.zeros_like(rotation)
  other = other.at[:, 0, 1].set(of('shear_y')).at[:, 1, 0].set(of('shear_x'))
  down, right = of('translate_y') * (height / 32), of('translate_x') * (width / 32)
  return rotation + other.at[:, 0, 2].set(down).at[:, 1, 2].set(right)


def _blend(base: jax.Array, images: jax.Array, factor: jax.Array) -> jax.Array:
  """Pillow's ImageEnhance: away from, or for factors below 1 towards, a degenerate image."""
  return jnp.floor(jnp.clip(base + factor * (images - base), 0.0, 255.0))


def _grey(images: jax.Array) -> jax.Array:
  """Pillow's mode L, in fixed point: its weights are those of BT.601 in units of 2**-16."""
  red, green, blue = (images[..., i : i + 1].astype(jnp.int32) for i in range(3))
  return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(jnp.float32)


def _mean_grey(images: jax.Array) -> jax.Array:
  return jnp.floor(jnp.mean(_grey(images), axis=(1, 2, 3), keepdims=True) + 0.5)


def _smooth(images: jax.Array) -> jax.Array:
  """Pillow's filter SMOOTH: the mean of 3 x 3 with weight 5 in the middle; the border stays."""
  height, width = images.shape[1:3]
  rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
  total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4.0 * images[:, 1:-1, 1:-1]
  smooth = jnp.pad(jnp.floor(total / 13.0 + 0.5), ((0, 0), (1, 1), (1, 1), (0, 0)))
  rows, columns = jnp.arange(height)[:, None, None], jnp.arange(width)[:, None]
  border = (rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1)
  return jnp.where(border, images, smooth)


def _posterize(images: jax.Array, bits: jax.Array) -> jax.Array:
  step = jnp.exp2(8.0 - bits)
  return step * jnp.floor(images / step)


def _autocontrast(images: jax.Array) -> jax.Array:
  """Stretches each channel to the whole scale; one of a single value stays."""
  least, greatest = (f(images, axis=(1, 2), keepdims=True) for f in (jnp.min, jnp.max))
  scale = 255.0 / jnp.maximum(greatest - least, 1.0)
  # The small term keeps float32 from falling short of a whole number, and reaches no other.
  stretched = jnp.floor((images - least) * scale + 1e-4)
  return jnp.where(greatest > least, stretched, images)


def _equalize(images: jax.Array) -> jax.Array:
  """Gives each channel a flat histogram, by Pillow's integers."""
  batch, height, width, channels = images.shape
  table = 256 * jnp.arange(batch * channels).reshape(batch, 1, 1, channels)
  index = table + jnp.clip(images, 0.0, 255.0).astype(jnp.int32)
  # One flat scatter of integers: on CPUs the fastest of the many ways to count.
  counts = jnp.zeros(256 * batch * channels, jnp.int32)
  counts = counts.at[index.reshape(-1)].add(1, mode='promise_in_bounds').reshape(-1, 256)
  below = jnp.cumsum(counts, axis=-1) - counts
  last = jnp.argmax((counts > 0) * jnp.arange(256), axis=-1, keepdims=True)
  step = (height * width - jnp.take_along_axis(counts, last, axis=-1)) // 255
  lookup = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
  lookup = jnp.where(step > 0, lookup, jnp.arange(256))
  return lookup.reshape(-1).at[index].get(mode='promise_in_bounds').astype(jnp.float32)
