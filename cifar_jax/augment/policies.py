"""Policies over Pillow's operations: AutoAugment's for CIFAR-10, RandAugment and TrivialAugment.

All map float32 images `[batch, height, width, 3]` in [0, 1] to such images. They round the pixels
to bytes, because their operations are Pillow's. Points outside an image have the mean colour in
AutoAugment and RandAugment, as in the authors' code for CIFAR (where AutoContrast and similar
operations can turn it black; here they do not). In TrivialAugment they are black, as in its code.
"""

import jax
import jax.numpy as jnp

from cifar_jax.augment.operations import (
  BLACK,
  INDEX,
  NAMES,
  OperationsAndArguments,
  Ranges,
  apply_in_turn,
  arguments,
)

# Cubuk et al. 2019, arXiv 1805.09501, table 7. A sub-policy is a pair of (operation, probability,
# level). The table prints a level for operations without strength too.
AUTOAUGMENT = (
  (('invert', 0.1, 7), ('contrast', 0.2, 6)),
  (('rotate', 0.7, 2), ('translate_x', 0.3, 9)),
  (('sharpness', 0.8, 1), ('sharpness', 0.9, 3)),
  (('shear_y', 0.5, 8), ('translate_y', 0.7, 9)),
  (('autocontrast', 0.5, 8), ('equalize', 0.9, 2)),
  (('shear_y', 0.2, 7), ('posterize', 0.3, 7)),
  (('color', 0.4, 3), ('brightness', 0.6, 7)),
  (('sharpness', 0.3, 9), ('brightness', 0.7, 9)),
  (('equalize', 0.6, 5), ('equalize', 0.5, 1)),
  (('contrast', 0.6, 7), ('sharpness', 0.6, 5)),
  (('color', 0.7, 7), ('translate_x', 0.5, 8)),
  (('equalize', 0.3, 7), ('autocontrast', 0.4, 8)),
  (('translate_y', 0.4, 3), ('sharpness', 0.2, 6)),
  (('brightness', 0.9, 6), ('color', 0.2, 8)),
  (('solarize', 0.5, 2), ('invert', 0.0, 3)),
  (('equalize', 0.2, 0), ('autocontrast', 0.6, 0)),
  (('equalize', 0.2, 8), ('equalize', 0.6, 4)),
  (('color', 0.9, 9), ('equalize', 0.6, 6)),
  (('autocontrast', 0.8, 4), ('solarize', 0.2, 8)),
  (('brightness', 0.1, 3), ('color', 0.7, 0)),
  (('solarize', 0.4, 5), ('autocontrast', 0.9, 3)),
  (('translate_y', 0.9, 9), ('translate_y', 0.7, 9)),
  (('autocontrast', 0.9, 2), ('solarize', 0.8, 3)),
  (('equalize', 0.8, 8), ('invert', 0.1, 3)),
  (('translate_y', 0.7, 9), ('autocontrast', 0.9, 1)),
)

# Cubuk et al. 2020, arXiv 1909.13719, section 3: the K = 14 operations.
RANDAUGMENT = tuple(name for name in NAMES if name != 'invert')

# Müller and Hutter 2021, arXiv 2103.10158: the operations are RandAugment's, a level is one of 31,
# and these are the ranges of `wide` in the authors' `aug_lib.py`, with which they trained on CIFAR.
TRIVIALAUGMENT_LEVELS = 31
TRIVIALAUGMENT_RANGES: Ranges = {
  'shear_x': (0.0, 0.99, False, True),
  'shear_y': (0.0, 0.99, False, True),
  'translate_x': (0.0, 32.0, True, True),
  'translate_y': (0.0, 32.0, True, True),
  'rotate': (0.0, 135.0, True, True),
  'solarize': (256.0, 0.0, True, False),
  'posterize': (8.0, 2.0, True, False),
  **dict.fromkeys(('contrast', 'color', 'brightness', 'sharpness'), (0.01, 2.0, False, False)),
}


def autoaugment(key: jax.Array, images: jax.Array, *, fill: tuple[float, ...]) -> jax.Array:
  """Applies a random one of AutoAugment's 25 sub-policies to each image.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1].
    fill: the colour of points outside an image, for each channel, in [0, 1].

  Returns:
    float32 of the same shape, in [0, 1].
  """
  return apply_in_turn(images, draw_autoaugment(key, len(images)), fill)


def randaugment(
  key: jax.Array,
  images: jax.Array,
  *,
  num_operations: int,
  magnitude: float,
  fill: tuple[float, ...],
) -> jax.Array:
  """Applies random operations of `RANDAUGMENT` to each image, one after another.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1].
    num_operations: number of operations for each image, the paper's N.
    magnitude: the level of all operations in AutoAugment's scale from 0 to 10, the paper's M. (As
      in the authors' code, Pillow's enhancements do nothing at 5 and weaken the image below.)
    fill: the colour of points outside an image, for each channel, in [0, 1].

  Returns:
    float32 of the same shape, in [0, 1].
  """
  return apply_in_turn(images, draw_randaugment(key, len(images), num_operations, magnitude), fill)


def trivialaugment(key: jax.Array, images: jax.Array) -> jax.Array:
  """Applies one random operation of `RANDAUGMENT` at a random strength to each image.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1].

  Returns:
    float32 of the same shape, in [0, 1].
  """
  return apply_in_turn(images, draw_trivialaugment(key, len(images)), BLACK)


def draw_autoaugment(key: jax.Array, batch: int) -> OperationsAndArguments:
  """Draws a sub-policy for each image, whether its two operations are applied, and their signs.

  Args:
    key: scalar.
    batch: number of images.

  Returns:
    Operations int32 and their arguments float32, both `[2, batch]`; see `operations.py`.
  """
  policy_key, applied_key, sign_key = jax.random.split(key, 3)
  table = jnp.array([[(INDEX[n], p, level) for n, p, level in pair] for pair in AUTOAUGMENT])
  chosen = table[jax.random.randint(policy_key, (batch,), 0, len(AUTOAUGMENT))]
  operation, probability, level = jnp.transpose(chosen, (2, 1, 0))
  applied = jax.random.uniform(applied_key, operation.shape) < probability
  operation = jnp.where(applied, operation, INDEX['identity']).astype(jnp.int32)
  return operation, arguments(operation, level, jax.random.bernoulli(sign_key, 0.5, level.shape))


def draw_randaugment(
  key: jax.Array, batch: int, num_operations: int, magnitude: float
) -> OperationsAndArguments:
  """Draws operations for each image, and their signs.

  Args:
    key: scalar.
    batch: number of images.
    num_operations: number of operations for each image.
    magnitude: the level of all operations, from 0 to 10.

  Returns:
    Operations int32 and their arguments float32, both `[num_operations, batch]`.
  """
  which_key, sign_key = jax.random.split(key)
  index = jax.random.randint(which_key, (num_operations, batch), 0, len(RANDAUGMENT))
  operation = jnp.array([INDEX[name] for name in RANDAUGMENT])[index]
  negate = jax.random.bernoulli(sign_key, 0.5, index.shape)
  return operation, arguments(operation, jnp.full(index.shape, magnitude), negate)


def draw_trivialaugment(key: jax.Array, batch: int) -> OperationsAndArguments:
  """Draws an operation for each image, with its level and its sign.

  Args:
    key: scalar.
    batch: number of images.

  Returns:
    Operations int32 and their arguments float32, both `[1, batch]`.
  """
  which_key, level_key, sign_key = jax.random.split(key, 3)
  index = jax.random.randint(which_key, (1, batch), 0, len(RANDAUGMENT))
  operation = jnp.array([INDEX[name] for name in RANDAUGMENT])[index]
  level = jax.random.randint(level_key, index.shape, 0, TRIVIALAUGMENT_LEVELS)
  negate = jax.random.bernoulli(sign_key, 0.5, index.shape)
  max_level = TRIVIALAUGMENT_LEVELS - 1.0
  return operation, arguments(operation, level, negate, TRIVIALAUGMENT_RANGES, max_level)
