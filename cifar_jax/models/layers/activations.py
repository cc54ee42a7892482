"""ReLU, swish, dropout and local response normalisation: layers without parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


@jax.custom_vjp
def relu(x: jax.Array) -> jax.Array:
  """`flax.linen.relu` of any shape `[...]`, traced in a third of the time.

  Deep nets have hundreds. With `nn.relu` the DenseNets' rows of the table of models take a quarter
  more processor time. The gradient reads the result, which the next convolution keeps anyway, so
  that the input, often a norm's result, need not be kept.
  """
  return lax.max(x, np.zeros((), x.dtype))


def _relu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  y = relu(x)
  return y, y


def _relu_backward(y: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
  zero = lax.full_like(gradient, 0)
  return (lax.select(lax.gt(y, zero), gradient, zero),)


relu.defvjp(_relu_forward, _relu_backward)


def swish(x: jax.Array) -> jax.Array:
  """`x * sigmoid(x)` of any shape `[...]`; `nn.swish` rounds differently in bfloat16 training."""
  return x * lax.logistic(x)


def dropout(x: jax.Array, rate: float, train: bool) -> jax.Array:
  """Drops a fraction of the values in training. To be called in a compact method.

  Args:
    x: `[...]`.
    rate: fraction that is dropped, in [0, 1).
    train: whether values are dropped, from the stream `dropout`.

  Returns:
    An array of the shape and dtype of `x`.
  """
  return nn.Dropout(rate, deterministic=False)(x) if rate and train else x


def local_response_norm(x: jax.Array) -> jax.Array:
  """Local response normalisation: Krizhevsky et al. 2012, section 3.3.

  Each value is divided by `(k + alpha * s) ** beta`, where `s` is the sum of the squares of the n
  channels around it at its pixel, fewer at the ends; k = 2, n = 5, alpha = 1e-4, beta = 0.75. Alpha
  multiplies the sum, as in the paper. Torch and Caffe multiply the mean, so that theirs would have
  to be 5e-4 for the same net.

  Args:
    x: `[batch, height, width, channels]` of any float dtype; squared and summed in float32.

  Returns:
    An array of the shape and dtype of `x`.
  """
  wide = x.astype(jnp.float32)
  padding = ((0, 0), (0, 0), (0, 0), (2, 2))
  total = lax.reduce_window(wide * wide, 0.0, lax.add, (1, 1, 1, 5), (1, 1, 1, 1), padding)
  return (wide * (2.0 + 1e-4 * total) ** -0.75).astype(x.dtype)
