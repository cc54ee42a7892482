"""The loss that training minimises."""

from collections.abc import Callable

import jax
import optax

from cifar_jax.config.optimization import LossSettings

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def make(settings: LossSettings) -> Loss:
  """The cross-entropy of each example, in nats.

  Args:
    settings: the section `loss`.

  Returns:
    `(logits, labels) -> float32 [batch]`. The logits are float32 `[batch, classes]`. The labels are
    int32 `[batch]` or, for soft labels, float32 `[batch, classes]` with rows that sum to 1.
  """

  def loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    if labels.ndim == 1:
      # One-hot, because the gradient of picking by index is a scatter, which a GPU's deterministic
      # kernels may compute one image after another.
      labels = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(
      logits, optax.smooth_labels(labels, settings.label_smoothing)
    )

  return loss
