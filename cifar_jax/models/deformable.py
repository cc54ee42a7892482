"""Deformable convolution, and residual nets with deformable convolutions in the last stage.

v1: Dai et al. 2017, arXiv 1703.06211. Each tap of a convolution reads the image at its position
plus an offset, by bilinear interpolation (eq. 2 to 4). A second convolution learns the offsets.
v2: Zhu et al. 2018, arXiv 1811.11168. A learnt mask in (0, 1) also multiplies what a tap reads
(eq. 1). Both were made for detection; neither paper has a result on CIFAR.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.errors import InputError
from cifar_jax.models import layers, resnet
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published

Pair = tuple[int, int]
ONE_EACH_SIDE = ((1, 1), (1, 1))


class DeformableConv(nn.Module):
  """A deformable convolution without bias, and the convolution that learns its offsets.

  The latter, `offset_conv`, has the same kernel size, strides and padding, and a bias. It starts at
  zero (v1, section 2.3): all taps at their positions, with a mask of 0.5 (v2, section 3.2). It
  learns at the net's rate, as in v1; in v2 its rate is a tenth of that.

  Attributes:
    features: channels of the result.
    kernel_size: rows and columns of taps.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros.
    modulated: whether there is a mask: v2.
    offset_groups: groups of adjacent channels that move independently.
    kernel_init: initialiser of the deformable convolution's kernel.
    dtype: dtype of the activations; positions and samples are float32.
  """

  features: int
  kernel_size: Pair = (3, 3)
  strides: Pair = (1, 1)
  padding: tuple[Pair, Pair] = ONE_EACH_SIDE
  modulated: bool = False
  offset_groups: int = 1
  kernel_init: nn.initializers.Initializer = layers.he_fan_out
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height', width', self.features]`."""
    moved = self.offset_groups * math.prod(self.kernel_size)
    learnt = layers.Conv(
      (3 if self.modulated else 2) * moved,
      self.kernel_size,
      self.strides,
      self.padding,
      kernel_init=nn.initializers.zeros,
      dtype=self.dtype,
      name='offset_conv',
    )(x)
    offsets = learnt[..., : 2 * moved]
    mask = nn.sigmoid(learnt[..., 2 * moved :]) if self.modulated else None
    shape = (*self.kernel_size, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
    x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
    return deform_conv2d(x, offsets, kernel, mask, strides=self.strides, padding=self.padding)

  def __post_init__(self) -> None:
    """Raises InputError unless there is a group of offsets."""
    if self.offset_groups < 1:
      raise InputError(f'offset_groups is {self.offset_groups}; it must be at least 1')
    super().__post_init__()


class DeformableResNet(resnet.ResNet):
  """The CIFAR ResNet with deformable 3x3 convolutions in its last stage, as in v1's section 2.3.

  Further attributes are those of `resnet.ResNet`.

  Attributes:
    modulated: whether the convolutions are those of v2.
  """

  modulated: bool = False

  @nn.nowrap
  def conv3x3_of_stage(self, stage: int) -> Callable[..., nn.Module]:
    """What makes the branches' 3x3 convolutions in `stage`, from 0: deformable in the last."""
    if stage < len(self.stage_sizes) - 1:
      return super().conv3x3_of_stage(stage)
    return functools.partial(
      deformable_conv3x3, modulated=self.modulated, kernel_init=self.kernel_init
    )


def deformable_conv3x3(features: int, stride: int = 1, **fields: Any) -> DeformableConv:
  """A deformable 3x3 convolution without bias, padded by one pixel on each side."""
  return DeformableConv(features, strides=(stride, stride), **fields)


def deform_conv2d(
  x: jax.Array,
  offsets: jax.Array,
  kernel: jax.Array,
  mask: jax.Array | None = None,
  *,
  strides: Pair = (1, 1),
  padding: tuple[Pair, Pair] = ONE_EACH_SIDE,
) -> jax.Array:
  """A convolution whose taps are moved by `offsets` and, in v2, multiplied by `mask`.

  The channels of `offsets` and `mask` are ordered as in `torchvision.ops.deform_conv2d`. With G
  groups, group g moves the g-th of G equal groups of adjacent channels of `x`.

  Args:
    x: `[batch, height, width, channels]`, of a float dtype.
    offsets: `[batch, height', width', groups * taps * 2]`: for each group and each tap (row by row
      of the kernel), the shift down and to the right, in pixels.
    kernel: `[kernel height, kernel width, channels, features]`, of the dtype of `x`.
    mask: `[batch, height', width', groups * taps]`; None for ones.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros; everything outside the image is zero.

  Returns:
    `[batch, height', width', features]`, of the dtype of `x`.

  Raises:
    InputError: the shapes do not fit together.
  """
  *size, channels, features = kernel.shape
  taps = math.prod(size)
  groups = max(1, offsets.shape[-1] // (2 * taps))
  grid = tap_grid(x.shape[1:3], size, strides, padding)
  maps = (x.shape[0], *grid.shape[:2])
  if x.shape[-1] != channels or channels % groups:
    raise InputError(f'{groups} groups of offsets, {x.shape[-1]} channels, a kernel of {channels}')
  for name, array, numbers in (('offsets', offsets, 2), ('mask', mask, 1)):
    shape = (*maps, groups * taps * numbers)
    if array is not None and array.shape != shape:
      raise InputError(f'the shape of {name} is {array.shape}; it must be {shape}')

  def by_tap(array: jax.Array, numbers: int) -> jax.Array:
    return array.reshape(*maps, groups, taps, numbers).swapaxes(-3, -2)

  # Positions are at least float32: bfloat16 has no number between 16 and 16.125.
  dtype = offsets.dtype if offsets.dtype.itemsize >= 4 else jnp.float32
  samples = bilinear(x, by_tap(offsets.astype(dtype), 2) + grid[None, :, :, :, None].astype(dtype))
  if mask is not None:
    samples *= by_tap(mask.astype(samples.dtype), 1)
  patches = samples.reshape(*maps, taps * channels).astype(x.dtype)
  return patches @ kernel.reshape(taps * channels, features)


def tap_grid(
  image: Sequence[int], size: Sequence[int], strides: Pair, padding: tuple[Pair, Pair]
) -> np.ndarray:
  """The positions of an ordinary convolution's taps: float32 `[height', width', taps, 2]`, (y, x).

  Args:
    image: height and width, in pixels.
    size: rows and columns of the kernel.
    strides: downwards and to the right.
    padding: (above, below), (left, right).
  """
  rows, columns = (
    np.arange(0, image[i] + sum(padding[i]) - size[i] + 1, strides[i])[:, None]
    + np.arange(-padding[i][0], size[i] - padding[i][0])
    for i in (0, 1)
  )
  grid = np.broadcast_arrays(rows[:, None, :, None], columns[None, :, None, :])
  return np.stack(grid, axis=-1, dtype=np.float32).reshape(len(rows), len(columns), -1, 2)


def bilinear(x: jax.Array, positions: jax.Array) -> jax.Array:
  """Interpolates images between their pixels, which are at whole numbers (v1's eq. 3 and 4).

  Outside the image is zero; a position less than a pixel outside still sees the border. At a whole
  position the gradient is the one from below and from the right, as in torchvision.

  Args:
    x: `[batch, height, width, channels]`, of a float dtype.
    positions: `[batch, ..., groups, 2]`, (y, x) in pixels for each group of adjacent channels, at
      least float32.

  Returns:
    `[batch, ..., groups, channels / groups]`, of the dtype of `positions`. The gradients that meet
    in a pixel are summed in that dtype, too.
  """
  batch, height, width, channels = x.shape
  groups = positions.shape[-2]
  first = jnp.floor(positions)
  fraction = positions - first
  nearness = (1 - fraction, fraction)
  # A border of zeros, which every corner outside the image reads, however far away.
  padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).astype(positions.dtype)
  pixels = padded.reshape(batch, -1, groups, channels // groups)
  as_pair = (1,) * (positions.ndim - 1) + (2,)
  last = np.array([height, width], np.float32).reshape(as_pair)

  # One gather for each corner: XLA fuses their sum with them. A single gather of an array of all
  # four took three times as long on a CPU, and more memory.
  total = jnp.zeros((), positions.dtype)
  for down, right in itertools.product((0, 1), repeat=2):
    step = np.array([down, right], np.float32).reshape(as_pair)
    corner = jnp.clip(first + step, -1, last).astype(jnp.int32) + 1
    index = corner[..., 0] * (width + 2) + corner[..., 1]
    values = jnp.take_along_axis(
      pixels, index.reshape(batch, -1, groups, 1), axis=1, mode='promise_in_bounds'
    )
    weight = nearness[down][..., :1] * nearness[right][..., 1:]
    total += weight * values.reshape(*index.shape, -1)
  return total


GRAMMAR = 'deformable_resnet{depth}, depth = 6n + 2'
PATTERN = r'deformable_resnet(?P<depth>\d+)'
NAMES = ('deformable_resnet20', 'deformable_resnet56', 'deformable_resnet110')
PUBLISHED: dict[str, Published] = {}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(depth: str, **fields: Any) -> DeformableResNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  return DeformableResNet(**(resnet.fields_of_depth(int(depth)) | fields))
