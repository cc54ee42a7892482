"""Shake-Shake regularization: Gastaldi 2017, arXiv 1705.07485, on CIFAR-10.

Residual branches mixed by random coefficients, others in the backward than in the forward pass:
how they are drawn is in `shake_coefficients`. The net (section 2.1) is 26 layers deep: three stages
of four blocks. As the author's `shakeshakeblock.lua` has it, each branch begins with its ReLU and
ends with BN, nothing follows the addition, and the stem has no ReLU.

Section 5 takes parts away. Net A has no shortcuts (`skip`); B is A with one convolution a branch
and twice the blocks (`branch_convs`); C is A without norms (`norm`), 14 layers deep, its alpha kept
within [0.4, 0.6] (`alpha_range`).
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.shake_coefficients as shake_coefficients
from cifar_jax.errors import InputError
from cifar_jax.models.published import Published
from cifar_jax.models.shake_coefficients import draw_gates

GRAMMAR = 'shake_shake_{depth}_{branches}x{base_width}d, depth = 6n + 2'
PATTERN = r'shake_shake_(?P<depth>\d+)_(?P<branches>\d+)x(?P<base_width>\d+)d'
PUBLISHED = {
  'shake_shake_26_2x32d': Published('arXiv 1705.07485, table 1, S-S-I', cifar10=3.55),
  'shake_shake_26_2x64d': Published('arXiv 1705.07485, table 1, S-S-I', cifar10=2.98),
  'shake_shake_26_2x96d': Published('arXiv 1705.07485, table 1, S-S-I', cifar10=2.86),
  # Cubuk et al. 2018's run without AutoAugment, which the author's README adds to his table.
  'shake_shake_26_2x112d': Published('arXiv 1805.09501, S-S-I', cifar10=2.82),
}
NAMES = tuple(PUBLISHED)


class NoNorm(nn.Module):
  """In the place of batch normalisation: leaves what it is given as it is."""

  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[...]` to itself."""
    return x


class ShakeBranch(nn.Module):
  """ReLU, 3x3 convolution, BN, as many times as there are convolutions."""

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype
  convs: int = 2

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    for i in range(1, self.convs + 1):
      stride = self.stride if i == 1 else 1
      conv = layers.conv3x3(self.width, stride, dtype=self.dtype, name=f'conv{i}')
      x = self.norm(name=f'norm{i}')(conv(layers.relu(x)))
    return x


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
    x = layers.relu(x)
    shifted = jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)))[:, :-1, :-1]
    paths = [
      layers.conv1x1(self.width // 2, dtype=self.dtype, name=f'conv{i}')(
        layers.subsample(path, self.stride)
      )
      for i, path in enumerate((x, shifted), start=1)
    ]
    return self.norm(name='norm')(jnp.concatenate(paths, axis=-1))


class ShakeBlock(nn.Module):
  """The shortcut, where there is one, and the branches, mixed by the block's gates."""

  branch: Callable[..., nn.Module]
  shortcut: Callable[..., nn.Module]  # where the shape changes
  branches: int
  skip: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the shape that `branch` gives it."""
    branches = tuple(self.branch(name=f'branch{i}')(x) for i in range(1, self.branches + 1))
    if not self.skip:
      shortcut = jnp.zeros_like(branches[0])
    elif x.shape == branches[0].shape:
      shortcut = x
    else:
      shortcut = self.shortcut(name='shortcut')(x)
    return layers.residual_sum(shortcut, branches, gates)


class ShakeShake(nn.Module):
  """Shake-Shake-`depth` `branches`x`base_width`d.

  Attributes:
    depth: number of weighted layers, along one branch of each block.
    branches: branches a block.
    base_width: channels of the first stage; the others have twice and four times as many.
    num_classes: size of the logits.
    forward: one of `shake_coefficients.FORWARD`.
    backward: one of `shake_coefficients.BACKWARD`.
    level: one of `shake_coefficients.LEVELS`.
    alpha_range: ends of the forward pass's coefficient.
    skip: whether blocks have shortcuts.
    norm: whether there is batch normalisation. Convolutions have no bias either way: the author's
      code takes it from all of them.
    branch_convs: convolutions a branch, 1 or 2.
    dtype: of the activations.
  """

  depth: int
  branches: int
  base_width: int
  num_classes: int = 10
  forward: str = 'shake'
  backward: str = 'shake'
  level: str = 'image'
  alpha_range: tuple[float, float] = (0.0, 1.0)
  skip: bool = True
  norm: bool = True
  branch_convs: int = 2
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth or width, or coefficients that cannot be drawn.
    """
    if self.branch_convs not in (1, 2):
      raise InputError(f'model.branch_convs is {self.branch_convs}; it is 1 or 2')
    _ = self.stage_size  # raises where the depth is impossible
    if self.base_width < 2 or self.base_width % 2:
      raise InputError(f'the width of a Shake-Shake branch is even, not {self.base_width}')
    shake_coefficients.check(
      self.forward, self.backward, self.level, self.branches, self.alpha_range
    )
    super().__post_init__()

  @property
  def stage_size(self) -> int:
    """Blocks of each of the three stages."""
    pairs = layers.blocks_a_stage('Shake-Shake net', self.depth, layers_a_block=2, other_layers=2)
    return pairs * 2 // self.branch_convs

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    return 3 * self.stage_size

  def draw_gates(self, batch_size: int, train: bool) -> layers.Gates:
    """The gates for a batch where none are given."""
    key = self.make_rng('shake') if train else None
    mode = (self.forward, self.backward, self.level, self.branches, self.alpha_range)
    return draw_gates(key, self.num_blocks, batch_size, *mode)

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics and gates are drawn.
      gates: `[blocks, branches]` or `[blocks, branches, batch]`, in place of those that the model
        draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    if gates is None:
      gates = self.draw_gates(len(images), train)
    norm: layers.Norm = layers.batch_norm(train, self.dtype) if self.norm else NoNorm

    x = layers.conv3x3(16, dtype=self.dtype, name='stem_conv')(images)
    x = norm(name='stem_norm')(x)
    for index in range(self.num_blocks):
      stage, block = divmod(index, self.stage_size)
      stride = 2 if stage > 0 and block == 0 else 1
      fields = (self.base_width * 2**stage, stride, norm, self.dtype)
      x = ShakeBlock(
        branch=functools.partial(ShakeBranch, *fields, self.branch_convs),
        shortcut=functools.partial(ShakeShortcut, *fields),
        branches=self.branches,
        skip=self.skip,
        name=f'stage{stage + 1}_block{block + 1}',
      )(x, gates.of_block(index))
    return layers.head(layers.relu(x), self.num_classes)


def from_name(depth: str, branches: str, base_width: str, **fields: Any) -> ShakeShake:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible one."""
  return ShakeShake(int(depth), int(branches), int(base_width), **fields)
