"""Augmentation on the device: pure functions `(key, images) -> images`, vectorised and jittable.

`make` composes them in two spaces. Colours, noise, filters and the learnt policies (`colour.py`,
`noise.py`, `filters.py`, `policies.py`) work on float32 pixels in [0, 1]; then the images are
normalised, and what leaves a gap (`geometric.py`, `erase.py`) fills it with zeros, which are then
the mean colour, as in fb.resnet.torch and the Cutout paper. What mixes images (`mix.py`) comes
last and makes the labels soft. `views.py` has the crops of test-time augmentation.

To add one: write its function, give it a field in `settings.py` and in `config.py`, and put it
where it belongs in the order below. `python -m cifar_jax.augment --gallery FILE.png` shows them.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from cifar_jax.augment import colour, erase, filters, geometric, mix, noise, policies
from cifar_jax.augment.settings import Settings, Statistics
from cifar_jax.augment.views import Views

__all__ = ['Augment', 'Settings', 'Statistics', 'Views', 'make', 'normalize']

Augment = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
Operation = Callable[[jax.Array, jax.Array], jax.Array]

# The place of each is folded into the step's key, so that what one draws depends on no other being
# asked for. A new one goes to the end: a run can then be repeated by a later version.
_DRAWS = (
  *('pad', 'flip', 'cutout', 'resize', 'quarter_turns', 'rotate', 'erase', 'mix'),
  *('brightness', 'contrast', 'saturation', 'hue', 'pca_noise'),
  *('blur', 'sharpen', 'gaussian_noise', 'salt_and_pepper', 'autoaugment', 'randaugment'),
)


def make(settings: Settings, statistics: Statistics) -> Augment:
  """Composes the augmentations asked for, and normalisation.

  Args:
    settings: their strengths.
    statistics: of the training split.

  Returns:
    `(key, images, labels) -> (images, labels)`, where the images are uint8 `[batch, height, width,
    channels]` and become float32, normalised. The labels, int32 `[batch]`, become float32
    `[batch, classes]`, rows that sum to 1, if images are mixed.
  """
  on_pixels, on_normalized = (
    {name: operation for name, operation in operations.items() if getattr(settings, name)}
    for operations in (_on_pixels(settings, statistics), _on_normalized(settings, statistics))
  )
  mixes = bool(settings.mixup or settings.cutmix)

  def augment(key: jax.Array, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    keys = {name: jax.random.fold_in(key, i) for i, name in enumerate(_DRAWS)}
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
  """Bytes to zero mean and unit variance.

  Args:
    images: uint8, or float32 on the same scale, `[batch, height, width, channels]`.
    mean: of each channel, in units of the full scale (255).
    std: of each channel, likewise.

  Returns:
    float32 of the same shape.
  """
  scale = 1.0 / (255.0 * jnp.asarray(std, jnp.float32))
  return images.astype(jnp.float32) * scale - jnp.asarray(mean, jnp.float32) * 255.0 * scale


def _on_pixels(settings: Settings, statistics: Statistics) -> dict[str, Operation]:
  """What works on pixels in [0, 1], by field, in the order of a camera: light, lens, sensor."""
  s, mean = settings, statistics.mean
  magnitude = s.randaugment_magnitude
  return {
    'autoaugment': partial(policies.autoaugment, fill=mean),
    'randaugment': partial(
      policies.randaugment, operations=s.randaugment, magnitude=magnitude, fill=mean
    ),
    'brightness': partial(colour.random_brightness, strength=s.brightness),
    'contrast': partial(colour.random_contrast, strength=s.contrast),
    'saturation': partial(colour.random_saturation, strength=s.saturation),
    'hue': partial(colour.random_hue, degrees=s.hue),
    'pca_noise': partial(colour.pca_noise, sigma=s.pca_noise, covariance=statistics.covariance),
    'blur': partial(filters.random_blur, sigma=s.blur),
    'sharpen': partial(filters.random_sharpen, amount=s.sharpen),
    'gaussian_noise': partial(noise.gaussian_noise, sigma=s.gaussian_noise),
    'salt_and_pepper': partial(noise.salt_and_pepper, share=s.salt_and_pepper),
  }


def _on_normalized(settings: Settings, statistics: Statistics) -> dict[str, Operation]:
  """What works on normalised images, by field, in their order; Cutout comes last in its paper."""
  s = settings
  return {
    'resize': partial(geometric.random_resized_crop, size=s.resize),
    'pad': partial(geometric.random_crop, pad=s.pad, padding=s.padding),
    'flip': geometric.random_flip,
    'quarter_turns': geometric.random_quarter_turn,
    'rotate': partial(geometric.random_rotation, degrees=s.rotate),
    'cutout': partial(erase.random_cutout, size=s.cutout),
    'erase': partial(
      erase.random_erasing,
      probability=s.erase,
      black=tuple(-m / d for m, d in zip(statistics.mean, statistics.std, strict=True)),
      white=tuple((1 - m) / d for m, d in zip(statistics.mean, statistics.std, strict=True)),
    ),
  }
