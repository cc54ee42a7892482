"""FractalNet: Larsson et al. 2017, arXiv 1605.07648.

A block of C columns has C paths from its input to its output: column c is 2^(c-1) layers deep, and
where columns meet, their mean joins them (figure 1). A net has five blocks, each of which halves
the map. A layer is convolution, dropout, BN (here with scale and shift), ReLU, and a block pools
each column before its last join: section 4.2 and the authors' `generation/fractalnet.py`.

Drop-path (section 3.1) drops inputs of joins, for a mini-batch at a time. Local sampling drops each
input with the same probability, but never all of a join. Global sampling drops all columns of the
whole net but one. Dropped layers are not computed, and their running statistics do not change.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published


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
  columns: tuple[int, ...]  # the columns that are computed, counted from 1
  width: int
  dropout: float
  norm: layers.Norm
  dtype: layers.Dtype
  train: bool

  @nn.compact
  def __call__(self, x: jax.Array, active: jax.Array | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / 2, width / 2, self.width]`.

    Args:
      x: the block's input.
      active: float32 `[joins, num_columns]`, as from `draw_paths`; None where all are, or no joins.

    Returns:
      The result of the last join.
    """
    rows = 2 ** (self.num_columns - 1)
    active = None if self.num_columns == 1 else active
    latest = dict.fromkeys(self.columns, x)  # the latest result of each column
    for row in range(1, rows + 1):
      spans = {column: 2 ** (self.num_columns - column) for column in self.columns}
      ending = [column for column in self.columns if row % spans[column] == 0]
      used = None if active is None else active[(row - 1) // 2, np.array(ending) - 1]
      outputs = [
        self._layer(latest[column], f'column{column}_layer{row // spans[column]}', gate)
        for column, gate in zip(ending, [None] * len(ending) if used is None else used, strict=True)
      ]
      if row == rows:
        outputs = [layers.max_pool(y, 2, 2) for y in outputs]
      latest |= dict.fromkeys(ending, join(outputs, used))
    return latest[self.num_columns]

  def _layer(self, x: jax.Array, name: str, gate: jax.Array | None) -> jax.Array:
    """Applies the layer of a name; training does not compute it where `gate`, a scalar, is 0."""

    def layer(x: jax.Array) -> jax.Array:
      fields = (self.width, self.dropout, self.norm, self.dtype, self.train)
      return FractalLayer(*fields, name=name)(x)

    if gate is None or not self.train:
      return layer(x)
    like = jnp.zeros((*x.shape[:-1], self.width), self.dtype)
    return layers.compute_if_open(self, layer, x, gate, like)


class FractalNet(nn.Module):
  """FractalNet of `depth` = 5 * 2^(C-1) layers in the deepest of its C columns.

  Attributes:
    depth: number of convolutions in the deepest column.
    base_width: channels of the first block; the others have 2, 4, 8 and 8 times as many.
    num_classes: number of classes.
    drop_path: probability that a join drops an input in local sampling, in [0, 1); at 0 there is
      no global sampling either.
    dropout: fraction dropped in the last block, in [0, 1); it rises linearly from 0 in the first.
    columns: the columns that evaluation computes, one of `COLUMNS`.
    dtype: dtype of the activations.
  """

  depth: int
  base_width: int = 64
  num_classes: int = 10
  drop_path: float = 0.0
  dropout: float = 0.0
  columns: str = 'all'
  dtype: layers.Dtype = jnp.float32

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
      InputError: the images are so small that not every block can halve them.
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
    return layers.head(x, self.num_classes, kernel_init=xavier)

  def __post_init__(self) -> None:
    """Raises InputError for an impossible depth, width or probability, or unknown columns."""
    if self.depth not in [self.num_blocks * 2**n for n in range(self.depth)]:
      raise InputError(f'a FractalNet has 5 * 2^n layers (5, 10, 20, 40, ...), not {self.depth}')
    if self.base_width < 1:
      raise InputError(f'the width of a FractalNet is at least 1, not {self.base_width}')
    layers.check_fraction('drop_path', self.drop_path)
    layers.check_fraction('dropout', self.dropout)
    layers.check_one_of('columns', self.columns, COLUMNS)
    super().__post_init__()

  @property
  def num_blocks(self) -> int:
    """Number of blocks, the leading axis of `active`."""
    return len(WIDTHS)

  @property
  def num_columns(self) -> int:
    """Number of columns of a block, C, the last axis of `active`."""
    return (self.depth // self.num_blocks).bit_length()


def join_inputs(num_columns: int) -> np.ndarray:
  """The columns that meet in each of a block's joins, in order; bool `[joins, columns]`.

  The joins are after every second layer of the deepest column, which is the last one. Another
  column takes part in a join where one of its layers ends at the same row.
  """
  rows = np.arange(2, 2 ** (num_columns - 1) + 1, 2)
  spans = 2 ** np.arange(num_columns - 1, -1, -1)
  return rows[:, None] % spans == 0


def draw_paths(key: jax.Array, num_columns: int, drop_path: float) -> jax.Array:
  """Draws the inputs of joins that one mini-batch uses.

  Args:
    key: split for the choice between local and global, and for the choices within each.
    num_columns: columns of a block, C.
    drop_path: probability that a join drops an input in local sampling.

  Returns:
    float32 `[blocks, joins, columns]`: 1 for an input that is used, else 0.
  """
  is_global, column, survives, survivor = jax.random.split(key, 4)
  inputs = join_inputs(num_columns)
  shape = (len(WIDTHS), *inputs.shape)
  local = jax.random.bernoulli(survives, 1.0 - drop_path, shape) & inputs[None]
  one = jax.random.categorical(survivor, jnp.where(inputs, 0.0, -jnp.inf), shape=shape[:2])
  one = jax.nn.one_hot(one, num_columns, dtype=bool)
  local = jnp.where(jnp.any(local, axis=-1, keepdims=True), local, one)
  column = jax.nn.one_hot(jax.random.randint(column, (), 0, num_columns), num_columns, dtype=bool)
  one_column = (column[None] & inputs)[None]
  paths = jnp.where(jax.random.bernoulli(is_global, GLOBAL_SHARE), one_column, local)
  return paths.astype(jnp.float32)


def join(inputs: list[jax.Array], active: jax.Array | None) -> jax.Array:
  """The mean of the active inputs; zeros where none is active.

  Args:
    inputs: arrays `[batch, height, width, channels]`.
    active: float32 `[inputs]`, 1 or 0; None where all are.

  Returns:
    An array of the inputs' shape and dtype. A single input is returned whether active or not.
  """
  if len(inputs) == 1:
    return inputs[0]
  if active is None:
    active = jnp.ones(len(inputs))
  weights = active / jnp.maximum(jnp.sum(active), 1.0)
  total = sum(x.astype(jnp.float32) * weight for x, weight in zip(inputs, weights, strict=True))
  return total.astype(inputs[0].dtype)


WIDTHS = (1, 2, 4, 8, 8)  # section 4.1: 64, 128, 256, 512, 512 channels
GLOBAL_SHARE = 0.5  # section 3.1: half local and half global sampling
COLUMNS = ('all', 'deepest')
# Caffe's filler `xavier`, which the authors' file names: uniform, variance 1 / fan-in.
xavier = layers.variance_scaling(1.0, 'fan_in', 'uniform')

GRAMMAR = 'fractalnet{depth} or fractalnet{depth}_w{base_width}, depth = 5 * 2^n'
PATTERN = r'fractalnet(?P<depth>\d+)(_w(?P<base_width>\d+))?'
# Those of width 16 are the ultra-deep ones of table 3.
NAMES = ('fractalnet20', *(f'fractalnet{depth}_w16' for depth in (5, 10, 20, 40, 80, 160)))
_SOURCE = 'Larsson et al. 2017, arXiv 1605.07648, table 1, drop-path and dropout'
_REGULARIZED = {'drop_path': 0.15, 'dropout': 0.4}
PUBLISHED = {'fractalnet20': Published(_SOURCE, 4.60, 23.73, fields=_REGULARIZED)}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(depth: str, base_width: str | None, **fields: Any) -> FractalNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  return FractalNet(int(depth), int(base_width or 64), **fields)
