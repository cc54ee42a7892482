"""Learnt policies: AutoAugment's for CIFAR-10, and RandAugment.

Both take and give float32 images `[batch, height, width, 3]` in [0, 1], which they round to bytes,
for their operations are Pillow's. What a shift or turn lets in is the mean colour, as in the
authors' code for CIFAR (where AutoContrast and the like turn it to black: here they do not).
"""

import jax
import jax.numpy as jnp

import cifar_jax.augment.operations as ops

# Cubuk et al. 2019, arXiv 1805.09501, table 7: a pair of (operation, probability, level) is a
# sub-policy. Operations without strength have the level that the table prints.
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

# Cubuk et al. 2020, arXiv 1909.13719, section 3: its K = 14 operations.
RANDAUGMENT = tuple(name for name in ops.NAMES if name != 'invert')

Draws = tuple[jax.Array, jax.Array]


def autoaugment(key: jax.Array, images: jax.Array, *, fill: tuple[float, ...]) -> jax.Array:
  """Applies to each image one of the 25 sub-policies, drawn evenly.

  Args:
    key: for the draws.
    images: as the module says.
    fill: of each channel, in [0, 1].

  Returns:
    Images of the same shape.
  """
  return _apply(images, draw_autoaugment(key, len(images)), fill)


def randaugment(
  key: jax.Array,
  images: jax.Array,
  *,
  operations: int,
  magnitude: float,
  fill: tuple[float, ...],
) -> jax.Array:
  """Applies to each image as many operations as are asked for, drawn evenly from `RANDAUGMENT`.

  Args:
    key: for the draws.
    images: as the module says.
    operations: the paper's N.
    magnitude: the paper's M: AutoAugment's level, from 0 to 10. (As in the authors' code, Pillow's
      enhancements do nothing at 5, and weaken below.)
    fill: of each channel, in [0, 1].

  Returns:
    Images of the same shape.
  """
  return _apply(images, draw_randaugment(key, len(images), operations, magnitude), fill)


def draw_autoaugment(key: jax.Array, batch: int) -> Draws:
  """For each image of a batch a sub-policy, whether each part is applied, and its direction.

  Returns:
    Operations int32 and their arguments float32, both `[2, batch]`; see `operations.py`.
  """
  policy_key, some_key, sign_key = jax.random.split(key, 3)
  table = jnp.array([[(ops.INDEX[n], p, level) for n, p, level in pair] for pair in AUTOAUGMENT])
  chosen = table[jax.random.randint(policy_key, (batch,), 0, len(AUTOAUGMENT))]
  operation, probability, level = jnp.transpose(chosen, (2, 1, 0))
  applied = jax.random.uniform(some_key, operation.shape) < probability
  operation = jnp.where(applied, operation, ops.INDEX['identity']).astype(jnp.int32)
  return operation, ops.arguments(
    operation, level, jax.random.bernoulli(sign_key, 0.5, level.shape)
  )


def draw_randaugment(key: jax.Array, batch: int, operations: int, magnitude: float) -> Draws:
  """For each image of a batch as many operations as asked for, and their directions.

  Returns:
    Operations int32 and their arguments float32, both `[operations, batch]`.
  """
  which_key, sign_key = jax.random.split(key)
  drawn = jax.random.randint(which_key, (operations, batch), 0, len(RANDAUGMENT))
  operation = jnp.array([ops.INDEX[name] for name in RANDAUGMENT])[drawn]
  negate = jax.random.bernoulli(sign_key, 0.5, drawn.shape)
  return operation, ops.arguments(operation, jnp.full(drawn.shape, magnitude), negate)


def _apply(images: jax.Array, draws: Draws, fill: tuple[float, ...]) -> jax.Array:
  """One operation after another."""
  outside = 255.0 * jnp.array(fill, jnp.float32)

  def step(values: jax.Array, drawn: Draws) -> tuple[jax.Array, None]:
    return ops.apply(values, *drawn, outside), None

  values, _ = jax.lax.scan(step, jnp.round(255.0 * images), draws)
  return values / 255.0
