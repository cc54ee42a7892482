"""Shake-Shake regularization: Gastaldi 2017, arXiv 1705.07485.

Two residual branches mixed by a random coefficient: alpha in the forward pass, another, beta, in
the backward pass (section 2). The net is 26 layers deep: three stages of four blocks. As the
author's `shakeshake.lua` has it, each branch begins with its ReLU and ends with BN, nothing follows
the addition, and the stem has no ReLU.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
from cifar_jax.errors import InputError

GRAMMAR = 'shake_shake_26_2x{base_width}d'
PATTERN = r'shake_shake_26_2x(?P<base_width>\d+)d'
NAMES = tuple(f'shake_shake_26_2x{width}d' for width in (32, 64, 96, 112))

BLOCKS_A_STAGE = 4  # 26 layers: 3 stages of 4 blocks of 2 convolutions, stem and classifier
FORWARD = ('even', 'shake')
BACKWARD = ('even', 'shake', 'keep')
LEVELS = ('image', 'batch')


def draw_gates(
  key: jax.Array, num_blocks: int, batch_size: int, forward: str, backward: str, level: str
) -> layers.Gates:
  """Draws the coefficients of one training pass, as the rows of the paper's table 1.

  Args:
    key: split into one for alpha and one for beta, which are independent.
    num_blocks: number of blocks; each has its own coefficients.
    batch_size: images in the batch.
    forward: `even` (0.5) or `shake` (uniform in [0, 1]).
    backward: `even`, `shake` (drawn anew) or `keep` (the forward pass's own).
    level: `image` (a coefficient for each image) or `batch` (one for all).

  Returns:
    Gates whose `forward` and `backward` are float32 `[blocks, 2, batch]` (or `[blocks, 2]` at
    level `batch`), alpha and 1 - alpha, beta and 1 - beta.
  """
  shape = (num_blocks, batch_size) if level == 'image' else (num_blocks,)
  alpha_key, beta_key = jax.random.split(key)

  def coefficients(mode: str, key: jax.Array) -> jax.Array:
    first = jax.random.uniform(key, shape) if mode == 'shake' else jnp.full(shape, 0.5)
    return jnp.stack([first, 1.0 - first], axis=1)

  alpha = coefficients(forward, alpha_key)
  beta = alpha if backward == 'keep' else coefficients(backward, beta_key)
  return layers.Gates(alpha, beta, jnp.ones(num_blocks))


def even_gates(num_blocks: int) -> layers.Gates:
  """The gates of test time: 0.5 for each branch, `[blocks, 2]`."""
  half = jnp.full((num_blocks, 2), 0.5)
  return layers.Gates(half, half, jnp.ones(num_blocks))


class ShakeBranch(nn.Module):
  """ReLU, 3x3 convolution, BN, ReLU, 3x3 convolution, BN."""

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    y = layers.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv1')(nn.relu(x))
    y = nn.relu(self.norm(name='norm1')(y))
    y = layers.conv3x3(self.width, dtype=self.dtype, name='conv2')(y)
    return self.norm(name='norm2')(y)


class ShakeShortcut(nn.Module):
  """Where the width changes: two strided paths, the second a pixel apart, side by side, then BN.

  The second path is shifted down and to the right, as in the author's code: at stride 2 it takes
  the pixels (zero), 1, 3, ..., 29, where later re-implementations take 1, 3, ..., 31.
  """

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    x = nn.relu(x)
    shifted = jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)))[:, :-1, :-1]
    paths = [
      layers.conv1x1(self.width // 2, dtype=self.dtype, name=f'conv{i}')(
        layers.subsample(path, self.stride)
      )
      for i, path in enumerate((x, shifted), start=1)
    ]
    return self.norm(name='norm')(jnp.concatenate(paths, axis=-1))


class ShakeBlock(nn.Module):
  """The shortcut and two branches, mixed by the block's gates."""

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    fields = (self.width, self.stride, self.norm, self.dtype)
    branches = tuple(ShakeBranch(*fields, name=f'branch{i}')(x) for i in (1, 2))
    same = x.shape[-1] == self.width
    shortcut = x if same else ShakeShortcut(*fields, name='shortcut')(x)
    return layers.residual_sum(shortcut, branches, gates)


class ShakeShake(nn.Module):
  """Shake-Shake-26 2x`base_width`d.

  Attributes:
    base_width: channels of the first stage; the others have twice and four times as many.
    num_classes: size of the logits.
    forward: one of `FORWARD`.
    backward: one of `BACKWARD`.
    level: one of `LEVELS`.
    dtype: of the activations.
  """

  base_width: int
  num_classes: int = 10
  forward: str = 'shake'
  backward: str = 'shake'
  level: str = 'image'
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an odd width, or an unknown mode.
    """
    if self.base_width < 2 or self.base_width % 2:
      raise InputError(f'the width of a Shake-Shake branch is even, not {self.base_width}')
    for field, known in (('forward', FORWARD), ('backward', BACKWARD), ('level', LEVELS)):
      if getattr(self, field) not in known:
        raise InputError(
          f'model.{field} is {getattr(self, field)!r}; it is one of {", ".join(known)}'
        )
    super().__post_init__()

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    return 3 * BLOCKS_A_STAGE

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics and gates are drawn.
      gates: `[blocks, 2]` or `[blocks, 2, batch]`, in place of those that the model draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    if gates is None:
      gates = self._draw(images.shape[0], train)
    norm = layers.batch_norm(train, self.dtype)

    x = layers.conv3x3(16, dtype=self.dtype, name='stem_conv')(images)
    x = norm(name='stem_norm')(x)
    for index in range(self.num_blocks):
      stage, block = divmod(index, BLOCKS_A_STAGE)
      x = ShakeBlock(
        width=self.base_width * 2**stage,
        stride=2 if stage > 0 and block == 0 else 1,
        norm=norm,
        dtype=self.dtype,
        name=f'stage{stage + 1}_block{block + 1}',
      )(x, gates.of_block(index))
    return layers.head(nn.relu(x), self.num_classes)

  def _draw(self, batch_size: int, train: bool) -> layers.Gates:
    if not train:
      return even_gates(self.num_blocks)
    key = self.make_rng('shake')
    return draw_gates(key, self.num_blocks, batch_size, self.forward, self.backward, self.level)


def from_name(base_width: str, **fields: Any) -> ShakeShake:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible width."""
  return ShakeShake(int(base_width), **fields)
