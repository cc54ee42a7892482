"""The orders of batch normalisation, ReLU and convolution that He et al. 2016 compare.

Identity Mappings in Deep Residual Networks, arXiv 1603.05027, figure 4. Full pre-activation (e) is
written out in `preact_resnet.py`; the block here is (a) to (d).
"""

from typing import NamedTuple

import flax.linen as nn
import jax

from cifar_jax.models import layers


class Order(NamedTuple):
  """The positions of batch normalisation and ReLU, each a string of `norm` and `relu`.

  Attributes:
    before: before each convolution; and after the last addition of the net.
    after: after each convolution but a branch's last; and after the stem's convolution.
    after_last: after a branch's last convolution. If it has `norm`, BN follows a projection too.
    addition: after the addition.
  """

  before: str
  after: str
  after_last: str
  addition: str


ORDERS = {  # figure 4
  'a': Order('', 'norm relu', 'norm', 'relu'),  # original
  'b': Order('', 'norm relu', '', 'norm relu'),  # BN after addition
  'c': Order('', 'norm relu', 'norm relu', ''),  # ReLU before addition
  'd': Order('relu', 'norm', 'norm', ''),  # ReLU-only pre-activation
  'e': Order('norm relu', '', '', ''),  # full pre-activation
}


def apply_order(position: str, x: jax.Array, norm: layers.Norm, name: str) -> jax.Array:
  """Applies what stands at a position of an `Order`.

  Args:
    position: a field of `Order`.
    x: `[batch, height, width, channels]`.
    norm: makes the batch normalisation.
    name: name of the normalisation.
  """
  for layer in position.split():
    x = norm(name=name)(x) if layer == 'norm' else layers.relu(x)
  return x


class OtherOrderBlock(layers.ResidualBlock, kw_only=True):
  """Figure 4, (a) to (d): the block of figure 4e with BN and ReLU at other positions.

  Attributes:
    order: one of the values of `ORDERS`.
    bottleneck: whether the convolutions are 1x1, 3x3 and 1x1.
    first: whether the block follows the stem.
    shortcut: `project` or `pad`, where the shape changes.
  """

  order: Order
  bottleneck: bool
  first: bool
  shortcut: str

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the block's width and stride."""
    kernels = (1, 3, 1) if self.bottleneck else (3, 3)
    features = self.width * 4 if self.bottleneck else self.width
    changes = x.shape[-1] != features or self.stride != 1
    for_both_paths = self.first or changes
    if for_both_paths:
      x = apply_order(self.order.before, x, self.norm, 'norm1')

    def branch(x: jax.Array) -> jax.Array:
      for i, kernel in enumerate(kernels, start=1):
        last = i == len(kernels)
        if i > 1 or not for_both_paths:
          x = apply_order(self.order.before, x, self.norm, f'norm{i}')
        width, stride = features if last else self.width, self.stride if i == 1 else 1
        x = layers.conv(width, kernel, stride, dtype=self.dtype, name=f'conv{i}')(x)
        after = self.order.after_last if last else self.order.after
        x = apply_order(after, x, self.norm, f'norm{i}')
      return x

    shortcut = x
    if changes and self.shortcut == 'pad':
      shortcut = layers.pad_channels(layers.subsample(x, self.stride), features)
    elif changes:
      conv = layers.conv1x1(features, self.stride, dtype=self.dtype, name='shortcut_conv')
      normalized = self.order.after_last.partition('norm')[1]
      shortcut = apply_order(normalized, conv(x), self.norm, 'shortcut_norm')
    total = self.add_branch(shortcut, branch, x, gates)
    return apply_order(self.order.addition, total, self.norm, 'norm_sum')
