"""What the residual families have in common: the fields of a block and of a net, and the gates."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.models.layers import stages
from cifar_jax.models.layers.dtypes import Dtype
from cifar_jax.models.layers.normalization import Norm
from cifar_jax.models.layers.residual import Gates, compute_if_open, residual_sum
from cifar_jax.models.layers.squeeze_excitation import check_reduction, squeeze_and_excite
from cifar_jax.models.layers.stochastic_depth import check_survival, draw_survival_gates


class ResidualBlock(nn.Module, kw_only=True):
  """A block with one residual branch.

  Attributes:
    width: channels inside the branch.
    stride: by how much the block reduces height and width.
    norm: makes the batch normalisations.
    reduction: ratio of the branch's channels to the inner width of its squeeze-and-excitation; 0
      for none.
    skip_closed: whether a branch with a closed gate is left uncomputed.
    dtype: dtype of the activations.
  """

  width: int
  stride: int
  norm: Norm
  reduction: int = 0
  skip_closed: bool = False
  dtype: Dtype = jnp.float32

  @nn.nowrap
  def add_branch(
    self,
    shortcut: jax.Array,
    branch: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    gates: Gates | None,
  ) -> jax.Array:
    """`shortcut + branch(x)`, gated. To be called in a compact method.

    Args:
      shortcut: `[batch, height', width', channels']`.
      branch: maps `x` to the shape and dtype of `shortcut`.
      x: `[batch, height, width, channels]`.
      gates: the block's gates; None where the branch always counts.

    Returns:
      An array of the shape and dtype of `shortcut`.
    """

    def recalibrated(x: jax.Array) -> jax.Array:
      return squeeze_and_excite(branch(x), self.reduction, self.dtype)

    if self.skip_closed and gates is not None:
      y = compute_if_open(self, recalibrated, x, gates.forward[0], shortcut)
    else:
      y = recalibrated(x)
    return residual_sum(shortcut, (y,), gates)


class ResidualNet(nn.Module, kw_only=True):
  """A net of residual blocks: `models.classifier.Classifier` and `Gated`.

  A family adds its own fields, `stage_sizes` and `__call__`.

  Attributes:
    num_classes: number of classes.
    squeeze_excitation: ratio of a branch's channels to the inner width of its squeeze-and-
      excitation (`ResidualBlock.reduction`); 0 for none.
    survival_probability: probability that the last block survives a mini-batch; below 1 the net has
      stochastic depth.
    survival_decay: how it falls with depth, one of `stochastic_depth.DECAYS`.
    dtype: dtype of the activations.
  """

  num_classes: int = 10
  squeeze_excitation: int = 0
  survival_probability: float = 1.0
  survival_decay: str = 'linear'
  dtype: Dtype = jnp.float32

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    sizes: Sequence[int] = self.stage_sizes
    return sum(sizes)

  @property
  def has_shortcuts(self) -> bool:
    """Whether a block's input goes on where its branch is closed."""
    return True

  @nn.nowrap
  def check_fields(self, narrowest: int) -> None:
    """Checks the fields that all residual families have.

    Args:
      narrowest: channels of the narrowest branch.

    Raises:
      InputError: a reduction, probability or decay that is impossible.
    """
    check_reduction(self.squeeze_excitation, narrowest)
    check_survival(self.survival_probability, self.survival_decay)

  def draw_gates(self, batch_size: int, train: bool) -> Gates | None:
    """The gates of a batch where none are given; None where all are 1."""
    del batch_size  # all images share a gate
    return draw_survival_gates(self, train)

  @nn.nowrap
  def gates_of(
    self, images: jax.Array, train: bool, gates: Gates | None
  ) -> tuple[Gates | None, bool]:
    """The gates of a forward pass, and whether branches with closed gates may be skipped.

    Args:
      images: `[batch, ...]`.
      train: whether gates are drawn.
      gates: gates that were given in place of drawn ones, or None. With given gates every
        branch is computed: a gate that is closed in the forward pass may be open in the backward
        pass.
    """
    if gates is not None:
      return gates, False
    return self.draw_gates(images.shape[0], train), train

  @nn.nowrap
  def run_stages(
    self,
    make_block: Callable[..., nn.Module],
    x: jax.Array,
    images: jax.Array,
    train: bool,
    gates: Gates | None,
  ) -> jax.Array:
    """Applies all blocks. To be called in a compact method.

    Args:
      make_block: `(stage, first, **shared) -> block`. `stage` counts from 0; `first` says whether
        the block is the first of its stage, all others being equal; `shared` holds the fields of
        `ResidualBlock` that are the same for all blocks, and the name.
      x: `[batch, height, width, channels]`, what the stem gives.
      images: `[batch, ...]`.
      train: whether gates are drawn.
      gates: as given to the net.

    Returns:
      `[batch, height', width', channels']`.
    """
    gates, skip_closed = self.gates_of(images, train, gates)

    def make(stage: int, first: bool, name: str) -> nn.Module:
      shared: dict[str, Any] = {
        'reduction': self.squeeze_excitation,
        'skip_closed': skip_closed,
        'dtype': self.dtype,
        'name': name,
      }
      return make_block(stage, first, **shared)

    sizes: Sequence[int] = self.stage_sizes
    return stages.run_stages(make, x, gates, sizes)
