"""AugMix: an image mixed with what random chains of operations make of it.

Hendrycks et al. 2020, arXiv 1912.02781. This is the augmentation alone, as in the authors' code
with `--no-jsd`: the loss stays as it is. Geometric operations take the nearest pixel, where the
authors' interpolate. Points outside an image are black, as in their code.
"""

import jax
import jax.numpy as jnp

from cifar_jax.augment.operations import (
  BLACK,
  INDEX,
  RANGES,
  OperationsAndArguments,
  apply_in_turn,
  arguments,
)

# Section 3 of the paper: no operation that is a corruption of CIFAR-10-C.
OPERATIONS = (
  *('autocontrast', 'equalize', 'posterize', 'rotate', 'solarize'),
  *('shear_x', 'shear_y', 'translate_x', 'translate_y'),
)
MAX_DEPTH = 3  # the most operations in a chain
_LOWEST_LEVEL = 0.1
# Ranges of the authors' `augmentations.py`: AutoAugment's but for the translations.
_RANGES = {
  **RANGES,
  **dict.fromkeys(('translate_x', 'translate_y'), (0.0, 32 / 3, True, True)),
}


def augmix(
  key: jax.Array,
  images: jax.Array,
  *,
  num_chains: int,
  severity: float,
) -> jax.Array:
  """Mixes each image with the outcomes of random chains of operations of `OPERATIONS`.

  The weights of the chains are of a Dirichlet distribution, and the share of their sum of a beta
  distribution, both with parameter 1.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1].
    num_chains: number of chains for each image, the paper's k.
    severity: highest level of an operation in AutoAugment's scale from 0 to 10.

  Returns:
    float32 of the same shape, in [0, 1].
  """
  chain_key, weight_key, share_key = jax.random.split(key, 3)
  drawn = draw(chain_key, num_chains, len(images), severity)
  chains = jax.lax.map(lambda chain: apply_in_turn(images, chain, BLACK), drawn)
  weights = jax.random.dirichlet(weight_key, jnp.ones(num_chains), (len(images),))
  mixture = jnp.sum(weights.T[:, :, None, None, None] * chains, axis=0)
  share = jax.random.uniform(share_key, (len(images), 1, 1, 1))  # a beta distribution of 1 and 1
  return (1.0 - share) * images + share * mixture


def draw(key: jax.Array, num_chains: int, batch: int, severity: float) -> OperationsAndArguments:
  """Draws chains of 1 to `MAX_DEPTH` operations, which end with the identity where shorter.

  Args:
    key: scalar.
    num_chains: number of chains for each image.
    batch: number of images.
    severity: the highest level, at least `_LOWEST_LEVEL`.

  Returns:
    Operations int32 and their arguments float32, both `[num_chains, MAX_DEPTH, batch]`.
  """
  which_key, depth_key, level_key, sign_key = jax.random.split(key, 4)
  shape = (num_chains, MAX_DEPTH, batch)
  index = jax.random.randint(which_key, shape, 0, len(OPERATIONS))
  operation = jnp.array([INDEX[name] for name in OPERATIONS])[index]
  depth = jax.random.randint(depth_key, (num_chains, 1, batch), 1, MAX_DEPTH + 1)
  is_in_chain = jnp.arange(MAX_DEPTH)[None, :, None] < depth
  operation = jnp.where(is_in_chain, operation, INDEX['identity'])
  level = jax.random.uniform(level_key, shape, minval=_LOWEST_LEVEL, maxval=severity)
  negate = jax.random.bernoulli(sign_key, 0.5, shape)
  return operation, arguments(operation, level, negate, _RANGES)
