"""Shake-Shake regularization: Gastaldi 2017, arXiv 1705.07485, on CIFAR-10.

Each block mixes its residual branches by random coefficients, which differ between the forward and
the backward pass: `shake_shake_coefficients.py` draws them. The net (section 2.1) has 26 layers in
three stages of four blocks. As in the author's `shakeshakeblock.lua`, each branch begins with its
ReLU and ends with BN, nothing follows the addition, and the stem has no ReLU.

Section 5 removes components. Net A has no shortcuts (`skip`). Net B is A with one convolution per
branch and twice the blocks (`branch_convs`). Net C is A without norms (`norm`), 14 layers deep,
with alpha limited to [0.4, 0.6] (`alpha_range`).
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.published import Published
from cifar_jax.models.shake_shake_coefficients import check_coefficients, draw_shake_gates


class ShakeBranch(nn.Module):
  """ReLU, 3x3 convolution and BN, once per convolution."""

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
  """The shortcut where the width changes: two strided paths, a pixel apart, joined, then BN.

  The second path is shifted down and to the right, as in the author's code: at stride 2 it reads
  the pixels (zero), 1, 3, ..., 29, where later re-implementations read 1, 3, ..., 31.
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
  """The sum of the shortcut and the branches, weighted by the block's gates.

  Attributes:
    branch: makes a branch.
    shortcut: makes the shortcut where the branches change the shape.
    branches: number of branches.
    skip: whether there is a shortcut.
  """

  branch: Callable[..., nn.Module]
  shortcut: Callable[..., nn.Module]
  branches: int
  skip: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the shape of a branch's result."""
    branches = tuple(self.branch(name=f'branch{i}')(x) for i in range(1, self.branches + 1))
    if not self.skip:
      shortcut = jnp.zeros_like(branches[0])
    elif x.shape == branches[0].shape:
      shortcut = x
    else:
      shortcut = self.shortcut(name='shortcut')(x)
    return layers.residual_sum(shortcut, branches, gates)


class ShakeNet(nn.Module, kw_only=True):
  """The fields and gates of both Shake-Shake families.

  A family adds `depth`, `branches`, `stage_size` and `__call__`.

  Attributes:
    num_classes: number of classes.
    forward: one of `shake_shake_coefficients.FORWARD`.
    backward: one of `shake_shake_coefficients.BACKWARD`.
    level: one of `shake_shake_coefficients.LEVELS`.
    dtype: dtype of the activations.
  """

  num_classes: int = 10
  forward: str = 'shake'
  backward: str = 'shake'
  level: str = 'image'
  dtype: layers.Dtype = jnp.float32
  alpha_range = (0.0, 1.0)  # not a field: only `ShakeShake` narrows it

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    return 3 * self.stage_size

  @property
  def has_shortcuts(self) -> bool:
    """Whether a block's input goes on where its branches are closed."""
    return True

  def draw_gates(self, batch_size: int, train: bool) -> layers.Gates:
    """The gates of a batch where none are given: `[blocks, branches]` or `[..., batch]`."""
    key = self.make_rng('shake') if train else None
    coefficients = (self.forward, self.backward, self.level, self.branches, self.alpha_range)
    return draw_shake_gates(key, self.num_blocks, batch_size, *coefficients)


class ShakeShake(ShakeNet):
  """Shake-Shake-`depth` `branches`x`base_width`d; further attributes are those of `ShakeNet`.

  Attributes:
    depth: number of weighted layers, along one branch of each block.
    branches: branches per block.
    base_width: channels of the first stage; the others have twice and four times as many.
    alpha_range: ends of the forward pass's coefficient.
    skip: whether blocks have shortcuts.
    norm: whether there is batch normalisation. Convolutions have no bias either way: the author's
      code removes it from all of them.
    branch_convs: convolutions per branch, 1 or 2.
  """

  depth: int
  branches: int
  base_width: int
  alpha_range: tuple[float, float] = (0.0, 1.0)
  skip: bool = True
  norm: bool = True
  branch_convs: int = 2

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics are the batch's, and gates are drawn.
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
      stage, position = divmod(index, self.stage_size)
      stride = 2 if stage > 0 and position == 0 else 1
      fields = (self.base_width * 2**stage, stride, norm, self.dtype)
      x = ShakeBlock(
        branch=functools.partial(ShakeBranch, *fields, self.branch_convs),
        shortcut=functools.partial(ShakeShortcut, *fields),
        branches=self.branches,
        skip=self.skip,
        name=f'stage{stage + 1}_block{position + 1}',
      )(x, gates.of_block(index))
    return layers.head(layers.relu(x), self.num_classes)

  def __post_init__(self) -> None:
    """Raises InputError for an impossible depth or width, or impossible coefficients."""
    if self.branch_convs not in (1, 2):
      raise InputError(f'model.branch_convs is {self.branch_convs}; it must be 1 or 2')
    _ = self.stage_size  # raises where the depth is impossible
    if self.base_width < 2 or self.base_width % 2:
      raise InputError(f'the width of a Shake-Shake branch is even, not {self.base_width}')
    check_coefficients(self.forward, self.backward, self.level, self.branches, self.alpha_range)
    super().__post_init__()

  @property
  def stage_size(self) -> int:
    """Blocks of each of the three stages."""
    pairs = layers.blocks_per_stage(
      'Shake-Shake net', self.depth, layers_per_block=2, other_layers=2
    )
    return pairs * 2 // self.branch_convs

  @property
  def has_shortcuts(self) -> bool:
    """False for nets A, B and C of section 5."""
    return self.skip


class NoNorm(nn.Module):
  """Takes the place of batch normalisation and changes nothing."""

  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[...]` to itself."""
    return x


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


def from_name(depth: str, branches: str, base_width: str, **fields: Any) -> ShakeShake:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible one."""
  return ShakeShake(int(depth), int(branches), int(base_width), **fields)
