"""Initialisers that are quick to compile, and cost next to nothing where only shapes matter.

Flax traces a parameter's initialiser whenever the module is traced, to compare shapes, and the
random draws of `jax.random.normal` take ten times as long to trace as the convolution they are for.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

_shapes_only = contextvars.ContextVar('shapes_only', default=False)


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
  """Within it all initialisers give constants that cost nothing, of the right shape and dtype."""
  token = _shapes_only.set(True)
  try:
    yield
  finally:
    _shapes_only.reset(token)


def zeros(shape: Sequence[int], dtype: Any = jnp.float32) -> Any:
  """An array of zeros; in `shapes_only`, where it is not traced, a NumPy array."""
  return _constant(0.0, shape, dtype)


def ones(shape: Sequence[int], dtype: Any = jnp.float32) -> Any:
  """As `zeros`, of ones."""
  return _constant(1.0, shape, dtype)


def _constant(value: float, shape: Sequence[int], dtype: Any) -> Any:
  if _shapes_only.get():
    return np.broadcast_to(np.asarray(value, dtype), shape)
  return jnp.full(shape, value, dtype)


def drawn(
  initializer: nn.initializers.Initializer,
  make_rng: Callable[[str], jax.Array],
  shape: Sequence[int],
) -> Any:
  """A float32 parameter of the shape given; zeros in `shapes_only`, where no key is made either.

  Args:
    initializer: `(key, shape, dtype) -> array`.
    make_rng: of the module whose parameter it is.
    shape: of the parameter.
  """
  return zeros(shape) if _shapes_only.get() else initializer(make_rng('params'), shape, jnp.float32)


def variance_scaling(scale: float, mode: str, distribution: str) -> nn.initializers.Initializer:
  """As `nn.initializers.variance_scaling`, to the bit; not traced at all in `shapes_only`.

  Args:
    scale: the variance, times the fan.
    mode: the fan, `fan_in` or `fan_out`: taps of the kernel times inputs, or outputs.
    distribution: `normal`, or `uniform` around zero.
  """
  axis = {'fan_in': -2, 'fan_out': -1}[mode]
  # The variance of the uniform distribution from -1 to 1 is a third.
  draw, factor = {'normal': (_normal, 1), 'uniform': (_uniform, 3)}[distribution]

  @functools.partial(jax.jit, static_argnums=(1, 2))
  def scaled(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    size, fan = math.prod(shape), math.prod(shape[:-2]) * shape[axis]
    deviation = jnp.sqrt(factor * jnp.array(scale / fan, dtype))
    # Multiplied before it is cut, as XLA then rounds once, as it does without the cut.
    return (draw(key, (_rounded(size),), dtype) * deviation)[:size].reshape(shape)

  def initialize(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    return zeros(shape, dtype) if _shapes_only.get() else scaled(key, tuple(shape), dtype)

  return initialize


def _rounded(size: int) -> int:
  """The least of 2^16, 2^18, 2^20, ... that is enough.

  Random bits take XLA's CPU compiler a second a shape, and the kernels of a PyramidNet or DenseNet
  are all of different ones: it took two minutes to draw them. So they are cut from a few long
  draws, which compile once; a number depends on the key and its place alone, not on the length.
  """
  return 1 << max(16, (size - 1).bit_length() + (size - 1).bit_length() % 2)


_normal = jax.jit(jax.random.normal, static_argnums=(1, 2))
_uniform = jax.jit(functools.partial(jax.random.uniform, minval=-1), static_argnums=(1, 2))
