"""Composes augmentations and normalisation in their order."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from cifar_jax.augment import augmix, colour, erase, filters, geometric, mix, noise, policies
from cifar_jax.augment.statistics import Statistics
from cifar_jax.config.augmentation import AugmentSettings

Augment = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
Normalize = Callable[[jax.Array], jax.Array]
Operation = Callable[[jax.Array, jax.Array], jax.Array]

# The index of each name is folded into the key of the step, so that the random numbers of an
# augmentation do not depend on which others are on. Append new names at the end: then a later
# version can repeat a run of an earlier one.
_KEY_ORDER = (
  *('pad', 'flip', 'cutout', 'resize', 'quarter_turns', 'rotate', 'erase', 'mix'),
  *('brightness', 'contrast', 'saturation', 'hue', 'pca_noise'),
  *('blur', 'sharpen', 'gaussian_noise', 'salt_and_pepper', 'autoaugment', 'randaugment'),
  *('vertical_flip', 'trivialaugment', 'augmix'),
)


def make(settings: AugmentSettings, statistics: Statistics) -> Augment:
  """Composes the augmentations that the settings turn on, and normalisation.

  Args:
    settings: the section `augment`.
    statistics: the statistics of the training split.

  Returns:
    `(key, images, labels) -> (images, labels)`. The images are uint8 `[batch, height, width,
    channels]` and become float32, normalised. The labels, int32 `[batch]`, stay as they are or, if
    images are mixed, become float32 `[batch, classes]` with rows that sum to 1.
  """
  on_pixels, on_normalized = (
    {name: operation for name, operation in operations.items() if getattr(settings, name)}
    for operations in (_on_pixels(settings, statistics), _on_normalized(settings, statistics))
  )
  mixes = bool(settings.mixup or settings.cutmix)

  def augment(key: jax.Array, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    keys = {name: jax.random.fold_in(key, i) for i, name in enumerate(_KEY_ORDER)}
    if on_pixels:
      images = images.astype(jnp.float32) / 255.0
      for name, operation in on_pixels.items():
        images = operation(keys[name], images)
      images = 255.0 * images
    images = normalize(images, statistics.mean, statistics.std)
    for name, operation in on_normalized.items():
      images = operation(keys[name], images)
    if not mixes:
      return images, labels
    return mix.random_mix(
      keys['mix'],
      images,
      jax.nn.one_hot(labels, statistics.num_classes, dtype=jnp.float32),
      mixup=settings.mixup,
      cutmix=settings.cutmix,
      probability=settings.mix_probability,
    )

  return augment


def normalize(images: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]) -> jax.Array:
  """Scales images to zero mean and unit variance per channel.

  Args:
    images: uint8, or float32 on the same scale, `[batch, height, width, channels]`.
    mean: mean of each channel, in units of the full scale (255).
    std: standard deviation of each channel, in the same units.

  Returns:
    float32 of the same shape.
  """
  per_channel = (1, 1, 1, len(mean))
  scale = 1.0 / (255.0 * jnp.asarray(std, jnp.float32).reshape(per_channel))
  shift = jnp.asarray(mean, jnp.float32).reshape(per_channel) * 255.0 * scale
  return images.astype(jnp.float32) * scale - shift


def _on_pixels(settings: AugmentSettings, statistics: Statistics) -> dict[str, Operation]:
  """The operations on pixels in [0, 1], by field, in the order of a camera: light, lens, sensor."""
  return {
    'autoaugment': partial(policies.autoaugment, fill=statistics.mean),
    'randaugment': partial(
      policies.randaugment,
      num_operations=settings.randaugment,
      magnitude=settings.randaugment_magnitude,
      fill=statistics.mean,
    ),
    'trivialaugment': policies.trivialaugment,
    'augmix': partial(augmix.augmix, num_chains=settings.augmix, severity=settings.augmix_severity),
    'brightness': partial(colour.random_brightness, strength=settings.brightness),
    'contrast': partial(colour.random_contrast, strength=settings.contrast),
    'saturation': partial(colour.random_saturation, strength=settings.saturation),
    'hue': partial(colour.random_hue, degrees=settings.hue),
    'pca_noise': partial(
      colour.pca_noise, sigma=settings.pca_noise, covariance=statistics.covariance
    ),
    'blur': partial(filters.random_blur, sigma=settings.blur),
    'sharpen': partial(filters.random_sharpen, amount=settings.sharpen),
    'gaussian_noise': partial(noise.gaussian_noise, sigma=settings.gaussian_noise),
    'salt_and_pepper': partial(noise.salt_and_pepper, share=settings.salt_and_pepper),
  }


def _on_normalized(settings: AugmentSettings, statistics: Statistics) -> dict[str, Operation]:
  """The operations on normalised images, by field, in their order; Cutout is last in its paper."""
  mean_and_std = tuple(zip(statistics.mean, statistics.std, strict=True))
  return {
    'resize': partial(geometric.random_resized_crop, size=settings.resize, crops=settings.crops),
    'pad': partial(
      geometric.random_crop, pad=settings.pad, padding=settings.padding, crops=settings.crops
    ),
    'flip': geometric.random_flip,
    'vertical_flip': geometric.random_vertical_flip,
    'quarter_turns': geometric.random_quarter_turn,
    'rotate': partial(geometric.random_rotation, degrees=settings.rotate),
    'cutout': partial(erase.random_cutout, size=settings.cutout),
    'erase': partial(
      erase.random_erasing,
      probability=settings.erase,
      black=tuple(-mean / std for mean, std in mean_and_std),
      white=tuple((1 - mean) / std for mean, std in mean_and_std),
    ),
  }
