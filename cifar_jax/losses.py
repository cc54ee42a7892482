"""What is minimised."""

from collections.abc import Callable

import jax
import optax

from cifar_jax.errors import InputError

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def make(*, label_smoothing: float = 0.0) -> Loss:
  """Cross-entropy of each example, in nats.

  Args:
    label_smoothing: share of the target spread evenly over all classes, in [0, 1): Szegedy et al.
      2016, arXiv 1512.00567, section 7.

  Returns:
    `(logits, labels) -> float32 [batch]`, where the logits are float32 `[batch, classes]` and the
    labels int32 `[batch]`, or float32 `[batch, classes]` where they are soft: rows that sum to 1.

  Raises:
    InputError: the smoothing is out of range.
  """
  if not 0.0 <= label_smoothing < 1.0:
    raise InputError(f'loss.label_smoothing is {label_smoothing}; it is at least 0 and below 1')

  def loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    if labels.ndim == 1:
      if not label_smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      labels = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(labels, label_smoothing))

  return loss
