"""What the two Shake-Shake families share: the block, and the fields and gates of a net.

The families are `shake_shake.py` (CIFAR-10) and `shake_shake_resnext.py` (CIFAR-100).
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.models import layers
from cifar_jax.models.shake_shake_coefficients import check_coefficients, draw_shake_gates

# By `initialization`: initialisers of the convolutions and of the head.
INITIALIZATIONS = {
  'he': (layers.he_fan_out, layers.uniform_fan_in),  # the author's Torch code
  'xavier': (layers.xavier_uniform, layers.xavier_uniform),
}


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
    coefficients: one of `shake_shake_coefficients.DISTRIBUTIONS`.
    initialization: of the weights, one of `INITIALIZATIONS`.
    head_bias: initial value of the classifier's biases.
    dtype: dtype of the activations.
  """

  num_classes: int = 10
  forward: str = 'shake'
  backward: str = 'shake'
  level: str = 'image'
  coefficients: str = 'simplex'
  initialization: str = 'he'
  head_bias: float = 0.0
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
    return draw_shake_gates(key, self.num_blocks, batch_size, *self._coefficients)

  @property
  def _coefficients(self) -> tuple[str, str, str, int, tuple[float, float], str]:
    """The arguments of `check_coefficients`."""
    fields = (self.forward, self.backward, self.level, self.branches)
    return *fields, self.alpha_range, self.coefficients

  @nn.nowrap
  def check_fields(self) -> None:
    """Raises InputError for impossible coefficients or an unknown initialisation."""
    check_coefficients(*self._coefficients)
    layers.check_one_of('initialization', self.initialization, INITIALIZATIONS)

  @nn.nowrap
  def head(self, x: jax.Array) -> jax.Array:
    """The logits of `[batch, height, width, channels]`. To be called in a compact method."""
    _, kernel_init = INITIALIZATIONS[self.initialization]
    return layers.head(x, self.num_classes, kernel_init=kernel_init, bias=self.head_bias)

  @property
  def conv_init(self) -> nn.initializers.Initializer:
    """The initialiser of the convolutions."""
    return INITIALIZATIONS[self.initialization][0]
