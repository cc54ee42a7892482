"""Mixtures of two images and of their labels: mixup and CutMix.

The partner of an image is the one before it in the global batch. The batch was drawn at random, so
the partner is a random image; it is never the image itself, and where the batch is split over
devices, one image passes from each to the next.
"""

import jax
import jax.numpy as jnp


def random_mix(
  key: jax.Array,
  images: jax.Array,
  labels: jax.Array,
  *,
  mixup: float,
  cutmix: float,
  probability: float,
) -> tuple[jax.Array, jax.Array]:
  """Mixes images with their partners by mixup or CutMix, each with half of them if both are on.

  Args:
    key: for all of the draws; each image has its own.
    images: float32 `[batch, height, width, channels]`.
    labels: float32 `[batch, classes]`, rows that sum to 1.
    mixup: parameter of the beta distribution; 0 for none. Zhang et al. 2018, arXiv 1710.09412: 1
      on CIFAR (section 3.2), with one coefficient for the whole batch in their code.
    cutmix: likewise. Yun et al. 2019, arXiv 1905.04899: 1 (section 3.1).
    probability: share of the images that are mixed; 0.5 for CutMix on CIFAR in its authors' code.

  Returns:
    The mixtures, and their labels in proportion: of values in mixup, of areas in CutMix.
  """
  some_key, which_key, mixup_key, cutmix_key = jax.random.split(key, 4)
  batch, height, width, _ = images.shape
  own = jnp.ones((batch, height, width, 1))  # the share of the image itself in each of its pixels
  if mixup:
    own *= _beta(mixup_key, mixup, (batch, 1, 1, 1))
  if cutmix:
    outside = _outside_of_boxes(cutmix_key, cutmix, batch, height, width)
    cut = jax.random.bernoulli(which_key, 0.5 if mixup else 1.0, (batch, 1, 1, 1))
    own = jnp.where(cut, outside, own)
  own = jnp.where(jax.random.bernoulli(some_key, probability, (batch, 1, 1, 1)), own, 1.0)
  share = jnp.mean(own, axis=(1, 2))
  return (
    own * images + (1 - own) * jnp.roll(images, 1, axis=0),
    share * labels + (1 - share) * jnp.roll(labels, 1, axis=0),
  )


def _beta(key: jax.Array, parameter: float, shape: tuple[int, ...]) -> jax.Array:
  if parameter == 1.0:  # uniform, and that compiles ten times as fast
    return jax.random.uniform(key, shape)
  return jax.random.beta(key, parameter, parameter, shape)


def _outside_of_boxes(
  key: jax.Array, parameter: float, batch: int, height: int, width: int
) -> jax.Array:
  """1 outside of a box in each image, 0 within: float32 `[batch, height, width, 1]`.

  Equation 2 of the CutMix paper: sides in proportion to the image's, and an area of 1 - λ of it
  with λ from the beta distribution, about a centre anywhere in the image; cut off at the border.
  """
  area_key, row_key, column_key = jax.random.split(key, 3)
  kept = _beta(area_key, parameter, (batch, 1))

  def inside(key: jax.Array, length: int) -> jax.Array:
    half = jnp.floor(length * jnp.sqrt(1 - kept)) / 2
    centre = jax.random.uniform(key, (batch, 1), maxval=length)
    return jnp.abs(jnp.arange(length) + 0.5 - centre) < half

  rows, columns = inside(row_key, height), inside(column_key, width)
  return 1.0 - (rows[:, :, None, None] & columns[:, None, :, None])
