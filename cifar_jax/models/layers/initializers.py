"""Initialisers that are quick to compile, and cost next to nothing where only shapes matter.

Flax traces a parameter's initialiser whenever the module is traced, to compare shapes. The random
draws of `jax.random.normal` take ten times as long to trace as the convolution they are for.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

_shapes_only = contextvars.ContextVar('shapes_only', default=False)


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
  """Within this context `variance_scaling` returns zeros of the right shape and dtype."""
  token = _shapes_only.set(True)
  try:
    yield
  finally:
    _shapes_only.reset(token)


def is_shapes_only() -> bool:
  """Whether the code runs within `shapes_only`."""
  return _shapes_only.get()


def variance_scaling(scale: float, mode: str, distribution: str) -> nn.initializers.Initializer:
  """Like `nn.initializers.variance_scaling`, up to rounding, but compiled once for many shapes.

  Args:
    scale: the variance, multiplied by the fan.
    mode: the fan, `fan_in` or `fan_out`: taps of the kernel times inputs, or times outputs; or
      `fan_avg`, the mean of both.
    distribution: `normal`, or `uniform` around zero.
  """
  axes = {'fan_in': (-2,), 'fan_out': (-1,), 'fan_avg': (-2, -1)}[mode]
  # The variance of the uniform distribution from -1 to 1 is a third.
  draw, factor = {'normal': (_normal, 1), 'uniform': (_uniform, 3)}[distribution]

  @functools.partial(jax.jit, static_argnums=(1, 2))
  def scaled(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    size, channels = math.prod(shape), sum(shape[axis] for axis in axes) / len(axes)
    fan = math.prod(shape[:-2]) * channels
    deviation = jnp.sqrt(factor * jnp.array(scale / fan, dtype))
    # Scaled before slicing, so that XLA rounds the product as in `jax.nn.initializers`.
    return (draw(key, (_rounded_up(size),), dtype) * deviation)[:size].reshape(shape)

  def initialize(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    if _shapes_only.get():
      return jnp.zeros(shape, dtype)
    return scaled(key, tuple(shape), dtype)

  return initialize


def _rounded_up(size: int) -> int:
  """The smallest of 2^16, 2^18, 2^20, ... that is at least `size`.

  XLA's CPU compiler needs a second for the random bits of each shape, and the kernels of a
  PyramidNet or DenseNet all have different shapes: drawing them took two minutes. Here they are cut
  from a few long draws, which compile once. A number depends on the key and on its position alone,
  not on the length of the draw.
  """
  return 1 << max(16, (size - 1).bit_length() + (size - 1).bit_length() % 2)


_normal = jax.jit(jax.random.normal, static_argnums=(1, 2))
_uniform = jax.jit(functools.partial(jax.random.uniform, minval=-1), static_argnums=(1, 2))

# He et al. 2015, eq. 10, with fan-out: an untruncated normal, as in fb.resnet.torch and the papers'
# own code. Flax's `he_normal` is truncated and uses fan-in.
he_fan_out = variance_scaling(2.0, 'fan_out', 'normal')
he_fan_in = variance_scaling(2.0, 'fan_in', 'normal')
# Torch's linear layer: uniform within 1 / sqrt(inputs).
uniform_fan_in = variance_scaling(1.0 / 3.0, 'fan_in', 'uniform')
# Glorot and Bengio 2010, eq. 16, called Xavier after the first author: TensorFlow's default.
xavier_uniform = variance_scaling(1.0, 'fan_avg', 'uniform')
# Krizhevsky et al. 2012, section 5: a Gaussian with a standard deviation of 0.01.
normal_001 = nn.initializers.normal(0.01)
