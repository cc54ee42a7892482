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
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published
from cifar_jax.models.shake_shake_net import ShakeBlock, ShakeNet


class ShakeBranch(nn.Module):
  """ReLU, 3x3 convolution and BN, once per convolution."""

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype
  kernel_init: nn.initializers.Initializer
  convs: int = 2

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    for i in range(1, self.convs + 1):
      stride = self.stride if i == 1 else 1
      conv = layers.conv3x3(
        self.width, stride, kernel_init=self.kernel_init, dtype=self.dtype, name=f'conv{i}'
      )
      x = self.norm(name=f'norm{i}')(conv(layers.relu(x)))
    return x


class ShakeShortcut(nn.Module):
  """The shortcut where the width changes: two strided paths, a pixel apart, joined, then BN.

  Attributes:
    shift: where the second path is moved, one of `SHIFTS`.
  """

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype
  kernel_init: nn.initializers.Initializer
  shift: str = 'lower_right'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    x = layers.relu(x)
    paths = [
      layers.conv1x1(
        self.width // 2, kernel_init=self.kernel_init, dtype=self.dtype, name=f'conv{i}'
      )(layers.subsample(path, self.stride))
      for i, path in enumerate((x, SHIFTS[self.shift](x)), start=1)
    ]
    return self.norm(name='norm')(jnp.concatenate(paths, axis=-1))


# Moves the second path by a pixel; zeros come in at the other side.
SHIFTS: dict[str, Callable[[jax.Array], jax.Array]] = {
  # As in the author's code and the text of section 2.1: at stride 2 the path reads the pixels
  # (zero), 1, 3, ..., 29.
  'lower_right': lambda x: jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)))[:, :-1, :-1],
  # As in re-implementations in TensorFlow (AutoAugment's, sualab/tf_shake_shake): 1, 3, ..., 31.
  'upper_left': lambda x: jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:],
}


class ShakeShake(ShakeNet):
  """Shake-Shake-`depth` `branches`x`base_width`d; further attributes are those of `ShakeNet`.

  Attributes:
    depth: number of weighted layers, along one branch of each block.
    branches: branches per block.
    base_width: channels of the first stage; the others have twice and four times as many.
    shift: where the shortcut's second path is moved, one of `SHIFTS`.
    alpha_range: ends of the forward pass's coefficient.
    skip: whether blocks have shortcuts.
    norm: whether there is batch normalisation. Convolutions have no bias either way: the author's
      code removes it from all of them.
    branch_convs: convolutions per branch, 1 or 2.
  """

  depth: int
  branches: int
  base_width: int
  shift: str = 'lower_right'
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
      gates = self.draw_gates(images.shape[0], train)
    norm: layers.Norm = layers.batch_norm(train, self.dtype) if self.norm else layers.NoNorm

    conv_init = self.conv_init
    x = layers.conv3x3(16, kernel_init=conv_init, dtype=self.dtype, name='stem_conv')(images)
    x = norm(name='stem_norm')(x)
    for index in range(self.num_blocks):
      stage, position = divmod(index, self.stage_size)
      stride = 2 if stage > 0 and position == 0 else 1
      fields = (self.base_width * 2**stage, stride, norm, self.dtype, conv_init)
      x = ShakeBlock(
        branch=functools.partial(ShakeBranch, *fields, self.branch_convs),
        shortcut=functools.partial(ShakeShortcut, *fields, self.shift),
        branches=self.branches,
        skip=self.skip,
        name=f'stage{stage + 1}_block{position + 1}',
      )(x, gates.of_block(index))
    return self.head(layers.relu(x))

  def __post_init__(self) -> None:
    """Raises InputError for an impossible depth, width or field."""
    if self.branch_convs not in (1, 2):
      raise InputError(f'model.branch_convs is {self.branch_convs}; it must be 1 or 2')
    _ = self.stage_size  # raises where the depth is impossible
    if self.base_width < 2 or self.base_width % 2:
      raise InputError(f'the width of a Shake-Shake branch is even, not {self.base_width}')
    layers.check_one_of('shift', self.shift, SHIFTS)
    self.check_fields()
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


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(depth: str, branches: str, base_width: str, **fields: Any) -> ShakeShake:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible one."""
  return ShakeShake(int(depth), int(branches), int(base_width), **fields)
