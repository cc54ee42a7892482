"""Batch normalisation: Ioffe and Szegedy 2015, arXiv 1502.03167, its gradient written out.

Differentiating the formula keeps several float32 arrays of the activations' size. Written out (the
paper's section 3), the gradient needs what went in and two numbers a channel, and it takes less
time to trace, to compile and to run.

The operations are those of `jax.lax`: deep nets have hundreds of norms, and those of `jax.numpy`
take three to ten times as long to trace.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

import cifar_jax.models.initializers as initializers
from cifar_jax.models.layer import Layer


class Statistics(NamedTuple):
  """Of each channel, float32 `[channels]`; the variance is the biased one."""

  mean: jax.Array
  variance: jax.Array


def batch_statistics(x: jax.Array) -> Statistics:
  """Those of a batch, `[..., channels]`; no gradient flows through them."""
  wide = _wide(lax.stop_gradient(x))
  mean = lax.div(_sum(wide), _count(x))
  # In one pass over the array; rounding can leave a variance of zero below it.
  of_squares = lax.div(_sum(lax.mul(wide, wide)), _count(x))
  return Statistics(mean, lax.max(lax.sub(of_squares, lax.mul(mean, mean)), 0.0))


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def normalize_batch(
  x: jax.Array,
  statistics: Statistics,
  scale: jax.Array,
  bias: jax.Array,
  running: Statistics,
  momentum: float,
  epsilon: float,
) -> tuple[jax.Array, Statistics]:
  """Normalises by the batch's own statistics.

  Args:
    x: `[..., channels]` of any float dtype.
    statistics: its `batch_statistics`. The gradient of `x` counts that they depend on it.
    scale: float32 `[channels]`, gamma.
    bias: float32 `[channels]`, beta.
    running: the running statistics. They are moved in here as no gradient flows through them:
      outside, JAX would trace derivatives that nothing reads.
    momentum: the fraction of them that is kept.
    epsilon: added to the variance.

  Returns:
    The normalised array, of the shape and dtype of `x`, and the running statistics after it.
  """
  return _forward(x, statistics, scale, bias, running, momentum, epsilon)[0]


def normalize(
  x: jax.Array, mean: jax.Array, deviation: jax.Array, scale: jax.Array, bias: jax.Array
) -> jax.Array:
  """`scale * (x - mean) / deviation + bias`, computed in float32, in the dtype of `x`.

  Args:
    x: `[..., channels]`.
    mean: float32 `[channels]`, as are the others.
    deviation: what is divided by.
    scale: gamma.
    bias: beta.
  """
  centred = lax.sub(_wide(x), _spread(mean, x))
  y = lax.add(lax.mul(centred, _spread(lax.div(scale, deviation), x)), _spread(bias, x))
  return lax.convert_element_type(y, x.dtype)


def _wide(x: jax.Array) -> jax.Array:
  return lax.convert_element_type(x, jnp.float32)


def _spread(of_channels: jax.Array, x: jax.Array) -> jax.Array:
  """`[channels]` to the shape of `x`."""
  return lax.broadcast_in_dim(of_channels, x.shape, (x.ndim - 1,))


def _sum(wide: jax.Array) -> jax.Array:
  """`[..., channels]` to `[channels]`."""
  return lax.reduce_sum(wide, tuple(range(wide.ndim - 1)))


def _count(x: jax.Array) -> float:
  """What is summed over for each channel."""
  return float(x.size // x.shape[-1])


def _forward(x, statistics, scale, bias, running, momentum, epsilon):
  mean, variance = statistics
  deviation = lax.sqrt(lax.add(variance, epsilon))
  y = normalize(x, mean, deviation, scale, bias)
  moved = [
    lax.add(lax.mul(old, momentum), lax.mul(new, 1.0 - momentum))
    for old, new in zip(running, statistics, strict=True)
  ]
  return (y, Statistics(*moved)), (x, mean, deviation, scale)


def _backward(
  momentum: float, epsilon: float, kept: Any, gradients: Any
) -> tuple[jax.Array, None, jax.Array, jax.Array, None]:
  del momentum, epsilon
  x, mean, deviation, scale = kept
  gradient = _wide(gradients[0])
  to_bias = _sum(gradient)
  # The sum of the gradient times (x - mean) / deviation, without an array of the latter, which
  # XLA's CPU compiler would write out for it.
  moment = lax.sub(_sum(lax.mul(gradient, _wide(x))), lax.mul(mean, to_bias))
  to_scale = lax.div(moment, deviation)
  slope = lax.div(to_scale, lax.mul(deviation, _count(x)))
  along = lax.mul(lax.sub(_wide(x), _spread(mean, x)), _spread(slope, x))
  centred = lax.sub(lax.sub(gradient, _spread(lax.div(to_bias, _count(x)), x)), along)
  to_x = lax.mul(centred, _spread(lax.div(scale, deviation), x))
  return lax.convert_element_type(to_x, x.dtype), None, to_scale, to_bias, None


normalize_batch.defvjp(_forward, _backward)


class BatchNorm(Layer):
  """Batch normalisation over all axes but the last.

  Parameters `scale` and `bias`, statistics `mean` and `var`, as `nn.BatchNorm` names them.

  Attributes:
    use_running_average: whether to normalise by the running statistics, not the batch's.
    momentum: the fraction of the running statistics that a training step keeps.
    epsilon: added to the variance.
    dtype: of the result.
    use_scale: whether there is a `scale`; it is one where there is none.
  """

  use_running_average: bool
  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: Any = jnp.float32
  use_scale: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, statistics: Statistics | None = None) -> jax.Array:
    """Maps `[..., channels]` to the same shape.

    Args:
      x: `[..., channels]`.
      statistics: its `batch_statistics`, where they are known already.
    """
    shape = x.shape[-1:]
    # Not by `self.param`, which traces an initialiser whenever the module is traced.
    if self.use_scale:
      scale = self.variable('params', 'scale', initializers.ones, shape).value
    else:
      scale = initializers.ones(shape)
    bias = self.variable('params', 'bias', initializers.zeros, shape).value
    mean = self.variable('batch_stats', 'mean', initializers.zeros, shape)
    variance = self.variable('batch_stats', 'var', initializers.ones, shape)
    x = lax.convert_element_type(x, self.dtype)
    if self.use_running_average:
      deviation = lax.sqrt(lax.add(variance.value, self.epsilon))
      return normalize(x, mean.value, deviation, scale, bias)
    running = Statistics(mean.value, variance.value)
    statistics = statistics or batch_statistics(x)
    y, moved = normalize_batch(x, statistics, scale, bias, running, self.momentum, self.epsilon)
    if not self.is_initializing():
      mean.value, variance.value = moved
    return y
