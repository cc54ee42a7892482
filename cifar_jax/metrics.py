"""What is counted on the device: running means that are summed in the steps and read seldom."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from clu import metrics
from flax import struct

TOP = 5  # of top-5 accuracy; with fewer classes it is 1 throughout


@struct.dataclass
class Means(metrics.Collection):
  """Means over the examples seen; sums and counts are float32 scalars."""

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
    labels: int32 `[batch]`, or float32 `[batch, classes]` where they are soft: accuracies then
      count the class of the greatest weight, the first of equals.
    mask: bool `[batch]`, False for examples that do not count.
  """
  if labels.ndim == 2:
    labels = jnp.argmax(labels, axis=-1)
  own = jnp.take_along_axis(logits, labels[:, None], axis=-1)
  top5 = jnp.sum(~(logits <= own), axis=-1) < TOP  # so that a NaN is no hit
  correct = jnp.argmax(logits, axis=-1) == labels
  return Means.single_from_model_output(
    loss=losses, correct=correct.astype(jnp.float32), top5=top5.astype(jnp.float32), mask=mask
  )


def read(means: Means) -> dict[str, Any]:
  """The values on the host, each a float: waits for the device.

  Of several seeds, whose means have a leading axis, they are the mean over the seeds; `deviation`
  has the sample standard deviation (with n - 1) of each, and `each` the values of all seeds.
  """
  several = np.ndim(means.loss.total) > 0
  computed = jax.vmap(Means.compute)(means) if several else means.compute()
  values = {name: np.float64(value) for name, value in jax.device_get(computed).items()}
  told: dict[str, Any] = {name: float(np.mean(value)) for name, value in values.items()}
  if several:
    told['deviation'] = {name: float(np.std(value, ddof=1)) for name, value in values.items()}
    told['each'] = {name: value.tolist() for name, value in values.items()}
  return told
