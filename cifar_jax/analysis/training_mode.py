"""Applies a net in training mode outside of training."""

from typing import Any

import flax.linen as nn
import jax


def apply_in_training_mode(net: nn.Module, variables: Any, images: jax.Array) -> tuple[Any, Any]:
  """Applies a net with the statistics of the batch, and with one draw of its random choices.

  Args:
    net: a `models.classifier.Classifier`.
    variables: parameters and statistics of the net.
    images: float32 `[batch, height, width, channels]`, normalised.

  Returns:
    Logits, float32 `[batch, classes]`, and the updated running statistics, `{}` for a net without
    any.
  """
  logits, updates = net.apply(
    variables,
    images,
    train=True,
    mutable=['batch_stats', 'auxiliary_logits'],
    rngs={'params': jax.random.key(0)},  # Flax uses it for each stream that is not given
  )
  return logits, updates.get('batch_stats', {})
