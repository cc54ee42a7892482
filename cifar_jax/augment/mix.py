"""Mixtures of two images and of their labels: mixup and CutMix.

The partner of an image is the previous one in the global batch. The order of the batch is random,
so the partner is a random image, almost always another one. Where the batch is split over devices,
each device passes one image to the next.
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
  """Mixes images with their partners by mixup or CutMix; with both on, each mixes half of them.

  Args:
    key: scalar; the random numbers differ between the images.
    images: float32 `[batch, height, width, channels]`.
    labels: float32 `[batch, classes]`, rows that sum to 1.
    mixup: parameter of the beta distribution; 0 for none. Zhang et al. 2018, arXiv 1710.09412, use
      1 on CIFAR (section 3.2), in their code with one coefficient for the whole batch.
    cutmix: parameter of the beta distribution; 0 for none. Yun et al. 2019, arXiv 1905.04899, use 1
      (section 3.1).
    probability: share of the images that are mixed; 0.5 for CutMix on CIFAR in its authors' code.

  Returns:
    The mixed images and labels, of the same shapes and dtypes. The shares of a label are those of
    the values in mixup and those of the areas in CutMix.
  """
  which_key, method_key, mixup_key, cutmix_key = jax.random.split(key, 4)
  batch, height, width, _ = images.shape
  weight = jnp.ones((batch, height, width, 1))  # of the image; its partner has 1 - weight
  if mixup:
    weight *= _beta(mixup_key, mixup, (batch, 1, 1, 1))
  if cutmix:
    outside = _outside_of_boxes(cutmix_key, cutmix, batch, height, width)
    use_cutmix = jax.random.bernoulli(method_key, 0.5 if mixup else 1.0, (batch, 1, 1, 1))
    weight = jnp.where(use_cutmix, outside, weight)
  is_mixed = jax.random.bernoulli(which_key, probability, (batch, 1, 1, 1))
  weight = jnp.where(is_mixed, weight, 1.0)
  label_weight = jnp.mean(weight, axis=(1, 2))
  return (
    weight * images + (1 - weight) * jnp.roll(images, 1, axis=0),
    label_weight * labels + (1 - label_weight) * jnp.roll(labels, 1, axis=0),
  )


def _beta(key: jax.Array, parameter: float, shape: tuple[int, ...]) -> jax.Array:
  """Draws from the symmetric beta distribution."""
  if parameter == 1.0:  # the uniform distribution, which compiles ten times as fast
    return jax.random.uniform(key, shape)
  return jax.random.beta(key, parameter, parameter, shape)


def _outside_of_boxes(
  key: jax.Array, parameter: float, batch: int, height: int, width: int
) -> jax.Array:
  """Draws a box in each image; returns 1 outside and 0 inside: float32 `[batch, height, width, 1]`.

  Equation 2 of the CutMix paper: the box has the aspect ratio of the image and the share 1 - λ of
  its area, with λ from the beta distribution. Its centre is uniform over the image, and the border
  cuts off the rest.
  """
  area_key, row_key, column_key = jax.random.split(key, 3)
  share_outside = _beta(area_key, parameter, (batch, 1))

  def inside(key: jax.Array, length: int) -> jax.Array:
    half = jnp.floor(length * jnp.sqrt(1 - share_outside)) / 2
    centre = jax.random.uniform(key, (batch, 1), maxval=length)
    return jnp.abs(jnp.arange(length) + 0.5 - centre) < half

  rows, columns = inside(row_key, height), inside(column_key, width)
  return 1.0 - (rows[:, :, None, None] & columns[:, None, :, None])
