"""Batch normalisation: Ioffe and Szegedy 2015, arXiv 1502.03167, with its gradient written out.

Differentiating the formula keeps several float32 arrays as large as the activations. Written out
(the paper's section 3), the gradient needs the input and two numbers per channel, and it is faster
to trace, to compile and to run.

The operations are those of `jax.lax`: deep nets have hundreds of norms, and the operations of
`jax.numpy` take three to ten times as long to trace.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cifar_jax.models.layers.dtypes import Dtype
from cifar_jax.models.layers.layer import Layer
from cifar_jax.models.layers.platform_forms import channel_sums

Norm = Callable[..., nn.Module]


class Moments(NamedTuple):
  """The statistics of each channel, float32 `[channels]`; the variance is the biased one."""

  mean: jax.Array
  variance: jax.Array


class BatchNorm(Layer):
  """Batch normalisation over all axes but the last.

  Parameters `scale` and `bias`, statistics `mean` and `var`: the names of `nn.BatchNorm`.

  Attributes:
    use_running_average: whether to normalise by the running statistics, not by the batch's.
    momentum: fraction of the running statistics that a training step keeps.
    epsilon: added to the variance.
    dtype: dtype of the result.
    use_scale: whether there is a `scale`; without it the scale is 1.
  """

  use_running_average: bool
  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: Dtype = jnp.float32
  use_scale: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, statistics: Moments | None = None) -> jax.Array:
    """Maps `[..., channels]` to the same shape.

    Args:
      x: `[..., channels]`.
      statistics: the `batch_statistics` of `x`, where they are known already.
    """
    shape = x.shape[-1:]
    if self.use_scale:
      scale = self.parameter('scale', nn.initializers.ones, shape)
    else:
      scale = jnp.ones(shape, jnp.float32)
    bias = self.parameter('bias', nn.initializers.zeros, shape)
    mean = self.variable('batch_stats', 'mean', jnp.zeros, shape, jnp.float32)
    variance = self.variable('batch_stats', 'var', jnp.ones, shape, jnp.float32)
    x = lax.convert_element_type(x, self.dtype)
    if self.use_running_average:
      deviation = lax.sqrt(lax.add(variance.value, self.epsilon))
      return normalize(x, mean.value, deviation, scale, bias)
    running = Moments(mean.value, variance.value)
    statistics = statistics or batch_statistics(x)
    y, moved = normalize_batch(x, statistics, scale, bias, running, self.momentum, self.epsilon)
    if not self.is_initializing():
      mean.value, variance.value = moved
    return y


class NoNorm(nn.Module):
  """Takes the place of batch normalisation and changes nothing."""

  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[...]` to itself."""
    return x


@functools.cache  # so that modules made with it compare equal
def batch_norm(train: bool, dtype: Dtype, momentum: float = 0.9, epsilon: float = 1e-5) -> Norm:
  """Batch normalisation with the constants of the papers' Torch code, ready to be named.

  `momentum` is the fraction kept: 0.9 here is Torch's 0.1. Statistics are those of the global
  batch, in float32 whatever the dtype. The running variance is the biased one; Torch stores the
  unbiased one, and for 128 images of 8x8 pixels or more the two differ by at most 1.3e-4 of it.

  Args:
    train: whether to normalise by the batch and to update the running statistics.
    dtype: dtype of the activations.
    momentum: fraction of the running statistics that a training step keeps.
    epsilon: added to the variance.
  """
  return functools.partial(
    BatchNorm, use_running_average=not train, momentum=momentum, epsilon=epsilon, dtype=dtype
  )


def batch_statistics(x: jax.Array) -> Moments:
  """The statistics of a batch `[..., channels]`; no gradient flows through them."""
  x = lax.stop_gradient(x)
  # In one pass over the array. Rounding can bring a variance of zero below zero.
  mean, mean_square = (lax.div(total, _count(x)) for total in channel_sums(x, x))
  return Moments(mean, lax.max(lax.sub(mean_square, lax.mul(mean, mean)), 0.0))


def normalize(
  x: jax.Array, mean: jax.Array, deviation: jax.Array, scale: jax.Array, bias: jax.Array
) -> jax.Array:
  """`scale * (x - mean) / deviation + bias`, computed in float32, in the dtype of `x`.

  Args:
    x: `[..., channels]`.
    mean: float32 `[channels]`, like the others.
    deviation: the divisor.
    scale: gamma.
    bias: beta.
  """
  centred = lax.sub(_wide(x), _spread(mean, x))
  y = lax.add(lax.mul(centred, _spread(lax.div(scale, deviation), x)), _spread(bias, x))
  return lax.convert_element_type(y, x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def normalize_batch(
  x: jax.Array,
  statistics: Moments,
  scale: jax.Array,
  bias: jax.Array,
  running: Moments,
  momentum: float,
  epsilon: float,
) -> tuple[jax.Array, Moments]:
  """Normalises by the batch's own statistics.

  Args:
    x: `[..., channels]` of any float dtype.
    statistics: the `batch_statistics` of `x`. The gradient of `x` accounts for them.
    scale: float32 `[channels]`, gamma.
    bias: float32 `[channels]`, beta.
    running: the running statistics. They are updated in here because no gradient flows through
      them: outside, JAX would trace derivatives that nothing reads.
    momentum: fraction of the running statistics that is kept.
    epsilon: added to the variance.

  Returns:
    The normalised array, of the shape and dtype of `x`, and the updated running statistics.
  """
  return _forward(x, statistics, scale, bias, running, momentum, epsilon)[0]


def _forward(
  x: jax.Array,
  statistics: Moments,
  scale: jax.Array,
  bias: jax.Array,
  running: Moments,
  momentum: float,
  epsilon: float,
) -> tuple[tuple[jax.Array, Moments], Any]:
  mean, variance = _of_batch(statistics, x)
  deviation = lax.sqrt(lax.add(variance, epsilon))
  y = normalize(x, mean, deviation, scale, bias)
  moved = [
    lax.add(lax.mul(old, momentum), lax.mul(new, 1.0 - momentum))
    for old, new in zip(running, statistics, strict=True)
  ]
  return (y, Moments(*moved)), (x, mean, deviation, scale)


@jax.custom_jvp
def _of_batch(statistics: Moments, x: jax.Array) -> Moments:
  """The statistics, with their derivative by `x`, which second derivatives of a norm need."""
  del x
  return statistics


@_of_batch.defjvp
def _of_batch_jvp(primals: Any, tangents: Any) -> tuple[Moments, Moments]:
  (statistics, x), (_, tangent) = primals, tangents
  tangent, axes = _wide(tangent), tuple(range(x.ndim - 1))
  centred = lax.sub(_wide(x), _spread(statistics.mean, x))
  of_mean = lax.div(jnp.sum(tangent, axes), _count(x))
  of_variance = lax.div(jnp.sum(lax.mul(centred, tangent), axes), _count(x) / 2)
  return statistics, Moments(of_mean, of_variance)


def _backward(
  momentum: float, epsilon: float, residuals: Any, gradients: Any
) -> tuple[jax.Array, None, jax.Array, jax.Array, None]:
  del momentum, epsilon
  x, mean, deviation, scale = residuals
  # `moment` is the sum of gradient * (x - mean), taken from two sums: the compiler would store an
  # array of the normalised values.
  to_bias, to_product = channel_sums(gradients[0], x)
  moment = lax.sub(to_product, lax.mul(mean, to_bias))
  gradient = _wide(gradients[0])
  to_scale = lax.div(moment, deviation)
  slope = lax.div(to_scale, lax.mul(deviation, _count(x)))
  along = lax.mul(lax.sub(_wide(x), _spread(mean, x)), _spread(slope, x))
  centred = lax.sub(lax.sub(gradient, _spread(lax.div(to_bias, _count(x)), x)), along)
  to_x = lax.mul(centred, _spread(lax.div(scale, deviation), x))
  return lax.convert_element_type(to_x, x.dtype), None, to_scale, to_bias, None


normalize_batch.defvjp(_forward, _backward)


def _wide(x: jax.Array) -> jax.Array:
  return lax.convert_element_type(x, jnp.float32)


def _spread(per_channel: jax.Array, x: jax.Array) -> jax.Array:
  """`[channels]` broadcast to the shape of `x`."""
  return lax.broadcast_in_dim(per_channel, x.shape, (x.ndim - 1,))


def _count(x: jax.Array) -> float:
  """The number of values of each channel."""
  return float(x.size // x.shape[-1])
