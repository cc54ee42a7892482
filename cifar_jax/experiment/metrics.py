"""Metrics on the device: running means, summed up in the steps and read from time to time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from clu import metrics
from flax import struct

TOP = 5  # of top-5 accuracy, which has a meaning only for more classes


@struct.dataclass
class Means(metrics.Collection):
  """Means over the examples seen: sums, float32, and counts, int32; scalars, or `[seeds]`."""

  loss: metrics.Average.from_output('loss')  # type: ignore[valid-type]
  accuracy: metrics.Average.from_output('correct')  # type: ignore[valid-type]
  top5_accuracy: metrics.Average.from_output('top5')  # type: ignore[valid-type]


def of_batch(
  losses: jax.Array, logits: jax.Array, labels: jax.Array, mask: jax.Array | None = None
) -> Means:
  """The means of one batch.

  Args:
    losses: float32 `[batch]`.
    logits: float32 `[batch, classes]`.
    labels: int32 `[batch]`, or float32 `[batch, classes]` for soft labels: accuracy then counts the
      class with the largest weight, the first of equal ones.
    mask: bool `[batch]`, False for examples that do not count.
  """
  if labels.ndim == 2:
    labels = jnp.argmax(labels, axis=-1)
  true_logits = jnp.take_along_axis(logits, labels[:, None], axis=-1)
  top5 = jnp.sum(~(logits <= true_logits), axis=-1) < TOP  # a NaN is no hit
  # argmax returns the first NaN, so a NaN logit of the true class would count as a hit.
  correct = (jnp.argmax(logits, axis=-1) == labels) & ~jnp.isnan(true_logits[:, 0])
  return Means.single_from_model_output(
    loss=losses, correct=correct.astype(jnp.float32), top5=top5.astype(jnp.float32), mask=mask
  )


def read(means: Means, num_classes: int) -> dict[str, Any]:
  """The values on the host as floats; waits for the device.

  With at most `TOP` classes the top-5 accuracy is left out: it would always be 1.

  For several seeds, whose means have a leading axis, each value is the mean over the seeds.
  `deviation` then holds the sample standard deviation (n - 1) of each, and `each` the values of all
  seeds.

  Args:
    means: the sums.
    num_classes: number of classes that the logits are of.
  """
  is_stacked = np.ndim(means.loss.total) > 0
  computed = jax.vmap(Means.compute)(means) if is_stacked else means.compute()
  values = {name: np.float64(value) for name, value in jax.device_get(computed).items()}
  if num_classes <= TOP:
    del values['top5_accuracy']
  result: dict[str, Any] = {name: float(np.mean(value)) for name, value in values.items()}
  if is_stacked:
    result['deviation'] = {name: float(np.std(value, ddof=1)) for name, value in values.items()}
    result['each'] = {name: value.tolist() for name, value in values.items()}
  return result
