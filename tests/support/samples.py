"""Samples of images for tests of the analyses."""

import jax.numpy as jnp
import numpy as np

from cifar_jax.analysis.sample import PADDING, Sample


def two_batches(images: np.ndarray, labels: np.ndarray) -> Sample:
  """A sample of two batches.

  Args:
    images: float32 `[n, height, width, channels]`, n even.
    labels: int32 `[n]`, `PADDING` for images that do not count.
  """
  return Sample(
    tuple(jnp.asarray(half) for half in np.split(images, 2)),
    tuple(jnp.asarray(half) for half in np.split(labels, 2)),
    int(np.sum(labels != PADDING)),
  )
