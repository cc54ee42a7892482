"""The coefficients of Shake-Shake: Gastaldi 2017, arXiv 1705.07485, sections 1.3, 2.1 and 4.

A block's branches are mixed by coefficients that are at least 0 and sum to 1: alpha in the forward
pass, beta in the backward pass. New ones are drawn for each block and each pass.

The paper has two branches and draws the first's coefficient uniformly in [0, 1]. It has no rule for
n branches. By default the coefficients are uniform on the simplex, the lengths into which n - 1
uniform points cut [0, 1]; with two branches that is the paper's rule. Published code in TensorFlow
(Tensor2Tensor's, sualab/tf_shake_shake) divides n uniforms by their sum, also where n is 2. Such
coefficients are denser near 1 / n.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError
from cifar_jax.models import layers

FORWARD = ('even', 'shake')
LEVELS = ('image', 'batch')
DISTRIBUTIONS = ('simplex', 'normalized_uniforms')  # of the coefficients that are drawn
Interval = tuple[jax.Array | float, jax.Array | float]

# Section 4: the interval in which beta is uniform, given alpha below 0.5; above 0.5 it is mirrored.
# M1 is from the text. M2 and M5 are from figure 5, as others quote it. We have not seen the rows of
# M3 and M4 in table 4: here they are the two intervals in between, split at 0.5, so that M2 to M5
# cover [0, 1]. This agrees with the paper's remark that the effect jumps where |beta - alpha|
# exceeds 0.5, which M2 and M3 never do. The mean distance from alpha is the same for M2 and M3,
# larger for M4 and largest for M5.
RULES: dict[str, Callable[[jax.Array], Interval]] = {
  'm1': lambda alpha: (1.0 - alpha, 1.0 - alpha),
  'm2': lambda alpha: (0.0, alpha),
  'm3': lambda alpha: (alpha, 0.5),
  'm4': lambda alpha: (0.5, 1.0 - alpha),
  'm5': lambda alpha: (1.0 - alpha, 1.0),
}
BACKWARD = ('even', 'shake', 'keep', *RULES)


def check_coefficients(
  forward: str,
  backward: str,
  level: str,
  branches: int = 2,
  alpha_range: tuple[float, float] = (0.0, 1.0),
  coefficients: str = 'simplex',
) -> None:
  """Checks the arguments of `draw_shake_gates`.

  Raises:
    InputError: an unknown mode, a single branch, a rule without an alpha to follow, or an
      `alpha_range` that is not centred at 0.5 or does not fit the other arguments.
  """
  layers.check_one_of('forward', forward, FORWARD)
  layers.check_one_of('backward', backward, BACKWARD)
  layers.check_one_of('level', level, LEVELS)
  layers.check_one_of('coefficients', coefficients, DISTRIBUTIONS)
  if branches < 2:
    raise InputError(f'a Shake-Shake block mixes at least 2 branches, not {branches}')
  if backward in RULES and (branches != 2 or forward != 'shake'):
    raise InputError(f'model.backward {backward!r} needs 2 branches and model.forward shake')
  low, high = alpha_range
  if not 0.0 <= low < high <= 1.0 or abs(low + high - 1.0) > 1e-6:
    raise InputError(
      f'model.alpha_range is {(low, high)}; it must be within [0, 1] and centred at 0.5, the '
      'coefficient at test time'
    )
  if (low, high) != (0.0, 1.0) and (branches != 2 or coefficients != 'simplex'):
    raise InputError(
      'model.alpha_range can be narrowed only with 2 branches and model.coefficients simplex'
    )


def draw_shake_gates(
  key: jax.Array | None,
  num_blocks: int,
  batch_size: int,
  forward: str,
  backward: str,
  level: str,
  branches: int = 2,
  alpha_range: tuple[float, float] = (0.0, 1.0),
  coefficients: str = 'simplex',
) -> layers.Gates:
  """Draws the coefficients of one training pass.

  Args:
    key: split into independent keys for alpha and beta; None at test time.
    num_blocks: number of blocks; each has its own coefficients.
    batch_size: images in the batch.
    forward: `even` (the same share for each branch) or `shake` (random).
    backward: `even`, `shake` (drawn again), `keep` (the forward pass's) or one of `RULES`.
    level: `image` (coefficients per image) or `batch` (the same for all images).
    branches: number of branches per block.
    alpha_range: ends of the forward pass's `shake`, for two branches.
    coefficients: how random ones are distributed, one of `DISTRIBUTIONS`.

  Returns:
    Gates whose `forward` and `backward` are float32 `[blocks, branches, batch]`, or
    `[blocks, branches]` at level `batch` and at test time, when all are equal. They sum to 1 over
    the branches.
  """
  images = (batch_size,) if level == 'image' and key is not None else ()
  shape = (num_blocks, branches, *images)
  even = jnp.full(shape, 1.0 / branches)
  if key is None:
    return layers.Gates(even, even, jnp.ones(num_blocks))
  alpha_key, beta_key = jax.random.split(key)
  if coefficients == 'simplex':
    drawn, redrawn = _cuts(alpha_key, shape, alpha_range), _cuts(beta_key, shape, (0.0, 1.0))
  else:
    drawn, redrawn = _normalized(alpha_key, shape), _normalized(beta_key, shape)
  alpha = drawn if forward == 'shake' else even
  if backward in RULES:
    beta = _by_rule(beta_key, alpha, RULES[backward])
  else:
    beta = {'even': even, 'keep': alpha, 'shake': redrawn}[backward]
  return layers.Gates(alpha, beta, jnp.ones(num_blocks))


def _cuts(key: jax.Array, shape: tuple[int, ...], ends: tuple[float, float]) -> jax.Array:
  """The lengths, along axis 1, of `[0, 1]` cut at points uniform between `ends`."""
  num_blocks, branches, *images = shape
  points = jax.random.uniform(
    key, (num_blocks, branches - 1, *images), minval=ends[0], maxval=ends[1]
  )
  return jnp.diff(jnp.sort(points, axis=1), axis=1, prepend=0.0, append=1.0)


def _normalized(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Uniforms in [0, 1], divided by their sum along axis 1."""
  uniforms = jax.random.uniform(key, shape)
  return uniforms / jnp.sum(uniforms, axis=1, keepdims=True)


def _by_rule(key: jax.Array, alpha: jax.Array, rule: Callable[[jax.Array], Interval]) -> jax.Array:
  """The betas of two branches, given alpha `[blocks, 2, ...]`."""
  first = alpha[:, 0]
  low, high = rule(jnp.minimum(first, 1.0 - first))
  beta = low + (high - low) * jax.random.uniform(key, first.shape)
  beta = jnp.where(first < 0.5, beta, 1.0 - beta)
  return jnp.stack([beta, 1.0 - beta], axis=1)
