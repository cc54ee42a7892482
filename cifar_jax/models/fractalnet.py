"""FractalNet: Larsson et al. 2017, arXiv 1605.07648.

A block of C columns is C ways from its input to its output: column c is 2^(c-1) layers deep, and
wherever columns meet they are joined by their mean (figure 1). Five blocks, each halving the map.
As section 4.2 and the authors' `generation/fractalnet.py` and `globals.crox` have it, a layer is
convolution, dropout, BN, ReLU, and a block pools each column before it joins them all.

Drop-path (section 3.1) leaves out inputs of joins, for a mini-batch at a time: locally, each with
the same probability but never all of a join; or globally, all but one column of the whole net.
Layers that are left out are not computed, and their running statistics stay as they were.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import cifar_jax.models.initializers as initializers
import cifar_jax.models.layers as layers
import cifar_jax.models.stochastic_depth as stochastic_depth
from cifar_jax.errors import InputError
from cifar_jax.models.published import Published

GRAMMAR = 'fractalnet{depth} or fractalnet{depth}_w{base_width}, depth = 5 * 2^n'
PATTERN = r'fractalnet(?P<depth>\d+)(_w(?P<base_width>\d+))?'
NAMES = (
  'fractalnet20',
  *(f'fractalnet{depth}_w16' for depth in (5, 10, 20, 40, 80, 160)),  # table 3, ultra-deep
)
PUBLISHED = {
  'fractalnet20': Published(
    'Larsson et al. 2017, arXiv 1605.07648, table 1, drop-path and dropout', 4.60, 23.73
  )
}

WIDTHS = (1, 2, 4, 8, 8)  # section 4.1: 64, 128, 256, 512, 512 channels
GLOBAL_SHARE = 0.5  # section 3.1: half local and half global sampling
COLUMNS = ('all', 'deepest')

# Caffe's filler `xavier`, which the authors' file names: uniform, variance 1 / fan-in.
xavier = initializers.variance_scaling(1.0, 'fan_in', 'uniform')


def join_inputs(num_columns: int) -> np.ndarray:
  """Which columns meet in each of a block's joins, in order; bool `[joins, columns]`.

  The joins are after every second layer of the deepest column, the last one listed; another column
  takes part where one of its layers ends, level with as many of the deepest's.
  """
  rows = np.arange(2, 2 ** (num_columns - 1) + 1, 2)
  spans = 2 ** np.arange(num_columns - 1, -1, -1)
  return rows[:, None] % spans == 0


def draw_paths(key: jax.Array, num_columns: int, drop_path: float) -> jax.Array:
  """Draws the inputs of joins that one mini-batch uses.

  Args:
    key: split for the choice between local and global, and for the choices within each.
    num_columns: columns of a block, C.
    drop_path: probability that a join drops an input, where sampling is local.

  Returns:
    float32 `[blocks, joins, columns]`: 1 for an input that is used, else 0.
  """
  is_global, column, kept, survivor = jax.random.split(key, 4)
  inputs = join_inputs(num_columns)
  shape = (len(WIDTHS), *inputs.shape)
  local = jax.random.bernoulli(kept, 1.0 - drop_path, shape) & inputs
  one = jax.random.categorical(survivor, jnp.where(inputs, 0.0, -jnp.inf), shape=shape[:2])
  one = jax.nn.one_hot(one, num_columns, dtype=bool)
  local = jnp.where(jnp.any(local, axis=-1, keepdims=True), local, one)
  column = jax.nn.one_hot(jax.random.randint(column, (), 0, num_columns), num_columns, dtype=bool)
  paths = jnp.where(jax.random.bernoulli(is_global, GLOBAL_SHARE), column & inputs, local)
  return paths.astype(jnp.float32)


def join(inputs: list[jax.Array], active: jax.Array | None) -> jax.Array:
  """The mean of those inputs that are active; zeros where none is.

  Args:
    inputs: arrays `[batch, height, width, channels]`.
    active: float32 `[inputs]`, 1 or 0; None where all are.

  Returns:
    An array of the inputs' shape and dtype.
  """
  if len(inputs) == 1:  # nothing meets here
    return inputs[0]
  if active is None:
    active = jnp.ones(len(inputs))
  weights = active / jnp.maximum(jnp.sum(active), 1.0)
  total = sum(x.astype(jnp.float32) * weight for x, weight in zip(inputs, weights, strict=True))
  return total.astype(inputs[0].dtype)


class FractalLayer(nn.Module):
  """3x3 convolution, dropout, BN, ReLU."""

  width: int
  dropout: float
  norm: layers.Norm
  dtype: layers.Dtype
  train: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height, width, self.width]`."""
    x = layers.conv3x3(self.width, dtype=self.dtype, kernel_init=xavier, name='conv')(x)
    x = layers.dropout(x, self.dropout, self.train)
    return layers.relu(self.norm(name='norm')(x))


class FractalBlock(nn.Module):
  """`num_columns` columns, joined where they meet and pooled before the last join."""

  num_columns: int
  columns: tuple[int, ...]  # that are computed, from 1
  width: int
  dropout: float
  norm: layers.Norm
  dtype: layers.Dtype
  train: bool

  @nn.compact
  def __call__(self, x: jax.Array, active: jax.Array | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / 2, ..., self.width]`.

    Args:
      x: the block's input.
      active: float32 `[joins, num_columns]`, as from `draw_paths`; None for all.

    Returns:
      The last join.
    """
    rows = 2 ** (self.num_columns - 1)
    latest = dict.fromkeys(self.columns, x)  # of each column
    for row in range(1, rows + 1):
      spans = {column: 2 ** (self.num_columns - column) for column in self.columns}
      ending = [column for column in self.columns if row % spans[column] == 0]
      used = None if active is None else active[(row - 1) // 2, np.array(ending) - 1]
      outputs = [
        self._layer(latest[column], f'column{column}_layer{row // spans[column]}', gate)
        for column, gate in zip(ending, [None] * len(ending) if used is None else used, strict=True)
      ]
      if row == rows:
        outputs = [nn.max_pool(y, (2, 2), strides=(2, 2)) for y in outputs]
      latest |= dict.fromkeys(ending, join(outputs, used))
    return latest[self.num_columns]

  def _layer(self, x: jax.Array, name: str, gate: jax.Array | None) -> jax.Array:
    """The layer of that name; in training not computed where `gate`, a scalar, is 0."""

    def layer(_: nn.Module, x: jax.Array) -> jax.Array:
      fields = (self.width, self.dropout, self.norm, self.dtype, self.train)
      return FractalLayer(*fields, name=name)(x)

    if gate is None or not self.train:
      return layer(self, x)
    like = jnp.zeros((*x.shape[:-1], self.width), self.dtype)
    return stochastic_depth.compute_if_open(self, layer, x, gate, like)


class FractalNet(nn.Module):
  """FractalNet of `depth` = 5 * 2^(C-1) layers in the deepest of its C columns.

  Attributes:
    depth: number of convolutions in the deepest column.
    base_width: channels of the first block; the others have 2, 4, 8 and 8 times as many.
    num_classes: size of the logits.
    drop_path: probability that a join drops an input in local sampling, in [0, 1); at 0 there is
      no global sampling either.
    dropout: fraction dropped in the last block, in [0, 1); it rises linearly from 0 in the first.
    columns: those that are computed when not training, one of `COLUMNS`.
    dtype: of the activations.
  """

  depth: int
  base_width: int = 64
  num_classes: int = 10
  drop_path: float = 0.0
  dropout: float = 0.0
  columns: str = 'all'
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth, width or probability, or unknown columns.
    """
    if self.depth not in [self.num_blocks * 2**n for n in range(self.depth)]:
      raise InputError(f'a FractalNet has 5 * 2^n layers (5, 10, 20, 40, ...), not {self.depth}')
    if self.base_width < 1:
      raise InputError(f'the width of a FractalNet is at least 1, not {self.base_width}')
    for field in ('drop_path', 'dropout'):
      if not 0.0 <= getattr(self, field) < 1.0:
        raise InputError(
          f'model.{field} is {getattr(self, field)}; it must be at least 0 and below 1'
        )
    if self.columns not in COLUMNS:
      raise InputError(f'model.columns is {self.columns!r}; it is one of {", ".join(COLUMNS)}')
    super().__post_init__()

  @property
  def num_blocks(self) -> int:
    """Number of blocks, the leading axis of `active`."""
    return len(WIDTHS)

  @property
  def num_columns(self) -> int:
    """Number of columns of a block, C, the last axis of `active`."""
    return (self.depth // self.num_blocks).bit_length()

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, active: jax.Array | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised, of at least 32 x 32 pixels.
      train: whether batch statistics are the batch's, and dropout and paths are drawn.
      active: float32 `[blocks, joins, columns]`, 1 for each input of a join that is used, else 0,
        in place of those that the model draws; `joins` are those of `join_inputs`.

    Returns:
      Logits, float32 `[batch, num_classes]`.

    Raises:
      InputError: the images are too small to be halved by each block.
    """
    if min(images.shape[1:3]) < 2**self.num_blocks:
      raise InputError(f'a FractalNet needs images of 32 x 32 pixels, not {images.shape[1:3]}')
    columns = tuple(range(1, self.num_columns + 1))
    if active is None and train and self.drop_path:
      active = draw_paths(self.make_rng('drop_path'), self.num_columns, self.drop_path)
    elif active is None and self.columns == 'deepest' and not (train or self.is_initializing()):
      columns = columns[-1:]

    x = images
    for index, factor in enumerate(WIDTHS):
      x = FractalBlock(
        num_columns=self.num_columns,
        columns=columns,
        width=self.base_width * factor,
        dropout=self.dropout * index / (self.num_blocks - 1),
        norm=layers.batch_norm(train, self.dtype),
        dtype=self.dtype,
        train=train,
        name=f'block{index + 1}',
      )(x, None if active is None else active[index])
    pooled = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
    return nn.Dense(self.num_classes, kernel_init=xavier, name='head')(pooled)


def from_name(depth: str, base_width: str | None, **fields: Any) -> FractalNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  return FractalNet(int(depth), int(base_width or 64), **fields)
