"""The rows of the gallery: images before and after each augmentation, at strengths that show."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.augment import make, views
from cifar_jax.augment.statistics import Statistics
from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.runtime import console

NUM_DRAWS = 5
NUM_IMAGES, CANDIDATES = 20, 300

SECONDS = 40  # that `rows` takes on two cores, almost all for compilation

# The title of each row, and the fields that differ from no augmentation. A pair (a, b) stands for
# a / b of the images' side, in pixels.
_EXAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
  ('Flip', {'flip': True}),
  ('Vertical flip', {'vertical_flip': True}),
  ('Crop, padded by 1/8 with the mean', {'pad': (1, 8)}),
  ('Crop, padded by 1/8 with the reflection', {'pad': (1, 8), 'padding': 'reflect'}),
  ('Enlarged by a quarter, then cropped', {'resize': (5, 4)}),
  ('Enlarged by a half, then one of five crops', {'resize': (3, 2), 'crops': 'five'}),
  ('Quarter turns', {'quarter_turns': True}),
  ('Rotation up to ±30°', {'rotate': 30.0}),
  ('Cutout of half the side', {'cutout': (1, 2)}),
  ('Random erasing', {'erase': 1.0}),
  ('Mixup, α = 1', {'mixup': 1.0}),
  ('CutMix, α = 1', {'cutmix': 1.0}),
  ('Brightness up to ±50 %', {'brightness': 0.5}),
  ('Contrast up to ±80 %', {'contrast': 0.8}),
  ('Saturation up to ±100 %', {'saturation': 1.0}),
  ('Hue up to ±90°', {'hue': 90.0}),
  ('PCA colour noise, σ = 1 (AlexNet: 0.1)', {'pca_noise': 1.0}),
  ('Gaussian blur, σ up to 2 pixels', {'blur': 2.0}),
  ('Sharpening (unsharp mask) up to × 4', {'sharpen': 4.0}),
  ('Gaussian noise, σ up to 0.2', {'gaussian_noise': 0.2}),
  ('Salt and pepper, up to 20 % of the pixels', {'salt_and_pepper': 0.2}),
  ('AutoAugment’s policy for CIFAR-10', {'autoaugment': True}),
  ('RandAugment, N = 2, M = 9', {'randaugment': 2}),
  ('TrivialAugment', {'trivialaugment': True}),
  ('AugMix, 3 chains, severity 3', {'augmix': 3}),
)
_CROPS = ('centre', 'upper left', 'upper right', 'lower left', 'lower right')


def choose(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Chooses images: those of the highest contrast in each class, then the second of each class.

  Args:
    images: uint8 `[n, height, width, 3]`; the first `CANDIDATES` are chosen from.
    labels: int32 `[n]`.

  Returns:
    Indices, int `[m]` with m up to `NUM_IMAGES`.
  """
  images, labels = images[:CANDIDATES], labels[:CANDIDATES]
  contrast = images.std(axis=(1, 2, 3))
  rank = np.zeros(len(images), int)
  for label in np.unique(labels):
    members = np.flatnonzero(labels == label)
    rank[members[np.argsort(-contrast[members])]] = np.arange(len(members))
  return np.lexsort((labels, rank))[:NUM_IMAGES]


def rows(
  images: np.ndarray,
  labels: np.ndarray,
  class_names: tuple[str, ...],
  statistics: Statistics,
) -> list[dict[str, Any]]:
  """Applies every augmentation to an image, and the crops of test-time augmentation to another.

  Args:
    images: uint8 `[n, height, width, 3]`, with n above `NUM_DRAWS`.
    labels: int32 `[n]`.
    class_names: the name of each label.
    statistics: the statistics of the training split, with its covariance.

  Returns:
    One dictionary per row: `title`, the augmentation and its strength; `before`, uint8 `[height,
    width, 3]`; `after`, uint8 `[NUM_DRAWS, height, width, 3]`; and `captions`, a text below the
    first image and below each of the others: the classes of a soft label, the name of a crop, or
    nothing.
  """
  result = []
  for i, (title, fields) in enumerate(console.bar(_EXAMPLES, 'augmenting', 'rows')):
    settings = _settings(fields, images.shape[1])
    # Every second image of the batch is image i, so that each copy is mixed with another partner.
    indices = np.full(2 * NUM_DRAWS, i)
    indices[::2] += np.arange(NUM_DRAWS) + 1
    indices %= len(images)
    augmented, soft = jax.jit(make(settings, statistics))(
      jax.random.key(i), jnp.asarray(images[indices]), jnp.asarray(labels[indices])
    )
    captions = [''] * (NUM_DRAWS + 1)
    if soft.ndim == 2:
      soft_labels = np.asarray(soft)[1::2]
      captions = [class_names[labels[i % len(images)]]]
      captions += [_describe_label(weights, class_names) for weights in soft_labels]
    result.append(
      {
        'title': title,
        'before': images[i % len(images)],
        'after': _bytes(augmented[1::2], statistics),
        'captions': captions,
      }
    )
  return result + _crop_rows(images[len(_EXAMPLES) % len(images)], statistics)


def _settings(fields: dict[str, Any], side: int) -> AugmentSettings:
  """The settings with these fields and no other augmentation; pairs become pixels."""
  pixels = {
    name: side * value[0] // value[1] for name, value in fields.items() if isinstance(value, tuple)
  }
  return AugmentSettings(**({'flip': False, 'pad': 0} | fields | pixels))


def _describe_label(weights: np.ndarray, class_names: tuple[str, ...]) -> str:
  """The classes of a soft label with their weights, one per line, the largest first."""
  largest = np.argsort(-weights)[:2]
  return '\n'.join(f'{weights[i]:.2f} {class_names[i]}' for i in largest if weights[i] > 0.005)


def _bytes(images: jax.Array, statistics: Statistics) -> np.ndarray:
  """Inverts `normalize`; the result is uint8, clipped at black and white."""
  pixels = np.asarray(images) * np.array(statistics.std) + np.array(statistics.mean)
  return np.round(255 * pixels.clip(0, 1)).astype(np.uint8)


def _crop_rows(image: np.ndarray, statistics: Statistics) -> list[dict[str, Any]]:
  """The rows of the five crops and of their mirror images; together they are the ten crops."""
  plain = make(AugmentSettings(flip=False, pad=0), statistics)
  normalized, _ = plain(jax.random.key(0), jnp.asarray(image[None]), jnp.zeros(1, jnp.int32))
  ten = views.ten_crop(normalized, settings=AugmentSettings(pad=image.shape[0] // 8))
  crops, captions = _bytes(ten[:, 0], statistics), ['', *_CROPS]
  return [
    {
      'title': title,
      'before': image,
      'after': crops[part],
      'captions': captions,
    }
    for title, part in (
      ('Five-crop, at test time', slice(None, 5)),
      ('Ten-crop: also their mirror images', slice(5, None)),
    )
  ]
