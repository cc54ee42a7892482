"""Batch normalisation: Ioffe and Szegedy 2015, arXiv 1502.03167, its gradient written out.

Differentiating the formula keeps several float32 arrays of the activations' size. Written out (the
paper's section 3), the gradient needs what went in and two numbers a channel, and it takes less
time to trace, to compile and to run.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalize_batch(
  x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Normalises by the batch's own statistics.

  Args:
    x: `[..., channels]` of any float dtype.
    scale: float32 `[channels]`, gamma.
    bias: float32 `[channels]`, beta.
    epsilon: added to the variance.

  Returns:
    The normalised array, of the shape and dtype of `x`; its mean and its (biased) variance before,
    float32 `[channels]`, through which no gradient flows.
  """
  return _forward(x, scale, bias, epsilon)[0]


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
  return ((x.astype(jnp.float32) - mean) * (scale / deviation) + bias).astype(x.dtype)


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> Any:
  wide = x.astype(jnp.float32)
  axes = tuple(range(x.ndim - 1))
  mean = jnp.mean(wide, axes)
  # In one pass over the array; rounding can leave a variance of zero below it.
  variance = jnp.maximum(jnp.mean(wide * wide, axes) - mean * mean, 0.0)
  deviation = jnp.sqrt(variance + epsilon)
  y = normalize(x, mean, deviation, scale, bias)
  return (y, mean, variance), (x, mean, deviation, scale)


def _backward(epsilon: float, kept: Any, gradients: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
  del epsilon
  x, mean, deviation, scale = kept
  gradient = gradients[0].astype(jnp.float32)
  axes = tuple(range(x.ndim - 1))
  standard = (x.astype(jnp.float32) - mean) / deviation
  to_bias, to_scale = jnp.sum(gradient, axes), jnp.sum(gradient * standard, axes)
  count = x.size // x.shape[-1]
  to_x = (gradient - (to_bias + standard * to_scale) / count) * (scale / deviation)
  return to_x.astype(x.dtype), to_scale, to_bias


normalize_batch.defvjp(_forward, _backward)


class BatchNorm(nn.Module):
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
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[..., channels]` to the same shape."""
    shape = x.shape[-1:]
    scale = jnp.ones(shape, jnp.float32)
    if self.use_scale:
      scale = self.param('scale', nn.initializers.ones, shape, jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, shape, jnp.float32)
    mean = self.variable('batch_stats', 'mean', jnp.zeros, shape, jnp.float32)
    variance = self.variable('batch_stats', 'var', jnp.ones, shape, jnp.float32)
    x = x.astype(self.dtype)
    if self.use_running_average:
      deviation = jnp.sqrt(variance.value + self.epsilon)
      return normalize(x, mean.value, deviation, scale, bias)
    y, *of_batch = normalize_batch(x, scale, bias, self.epsilon)
    if not self.is_initializing():
      for running, new in zip((mean, variance), of_batch, strict=True):
        running.value = self.momentum * running.value + (1.0 - self.momentum) * new
    return y
