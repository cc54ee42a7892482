"""The coefficients of Shake-Shake: distributions, values and gradients, and use at test time."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.shake_shake_coefficients import draw_shake_gates
from tests.support.filled import filled_variables

BLOCKS, BATCH = 400, 8
MODES = [  # the rows of the paper's table 1; Even-Even is the same at both levels
  ('even', 'even', 'image'),
  *(
    mode
    for mode in itertools.product(('even', 'shake'), ('even', 'shake', 'keep'), ('batch', 'image'))
    if mode[:2] not in (('even', 'even'), ('even', 'keep'))
  ),
]


def test_there_are_nine_modes() -> None:
  assert len(MODES) == 9


# Gastaldi 2017, arXiv 1705.07485, section 4: the range of beta where alpha is below 0.5. Where it
# is above, the range is mirrored.
RANGES: dict[str, Callable[[np.ndarray], tuple[Any, Any]]] = {
  'm1': lambda alpha: (1 - alpha, 1 - alpha),
  'm2': lambda alpha: (0, alpha),
  'm3': lambda alpha: (alpha, 0.5),
  'm4': lambda alpha: (0.5, 1 - alpha),
  'm5': lambda alpha: (1 - alpha, 1),
}


@pytest.mark.parametrize('rule', RANGES)
def test_each_rule_draws_beta_in_its_range_on_the_side_of_alpha(rule: str) -> None:
  gates = draw_shake_gates(jax.random.key(0), BLOCKS, BATCH, 'shake', rule, 'image')
  alpha, beta = np.asarray(gates.forward), np.asarray(gates.backward)
  np.testing.assert_allclose(beta.sum(axis=1), 1.0, rtol=1e-6)
  is_low = alpha[:, 0] < 0.5
  assert is_low.any() and not is_low.all()
  low, high = RANGES[rule](np.where(is_low, alpha[:, 0], 1 - alpha[:, 0]))
  folded = np.where(is_low, beta[:, 0], 1 - beta[:, 0])
  assert np.all((folded >= low - 1e-6) & (folded <= high + 1e-6))
  width = np.asarray(high - low)
  if rule != 'm1':  # uniform within the range
    share = ((folded - low) / np.where(width > 0.05, width, np.nan))[width > 0.05]
    assert abs(share.mean() - 0.5) < 0.03 and abs(share.var() - 1 / 12) < 0.01


@pytest.mark.parametrize(('forward', 'backward', 'level'), MODES)
def test_each_mode_draws_its_coefficients(forward: str, backward: str, level: str) -> None:
  gates = draw_shake_gates(jax.random.key(0), BLOCKS, BATCH, forward, backward, level)
  shape = (BLOCKS, 2, BATCH) if level == 'image' else (BLOCKS, 2)
  alpha, beta = np.asarray(gates.forward), np.asarray(gates.backward)
  assert alpha.shape == beta.shape == shape
  for coefficients, mode in ((alpha, forward), (beta, backward)):
    np.testing.assert_allclose(coefficients.sum(axis=1), 1.0, rtol=1e-6)
    first = coefficients[:, 0]
    if mode == 'even':
      assert np.all(coefficients == 0.5)
    else:  # uniform in [0, 1]: mean, variance, range
      assert abs(first.mean() - 0.5) < 0.05
      assert abs(first.var() - 1 / 12) < 0.01
      assert first.min() < 0.02 and first.max() > 0.98
    if mode != 'even' and level == 'image':  # another coefficient for each image
      assert len(np.unique(first)) > 0.99 * BLOCKS * BATCH
  if backward == 'keep':
    np.testing.assert_array_equal(alpha, beta)
  if (forward, backward) == ('shake', 'shake'):  # independent of each other
    assert abs(np.corrcoef(alpha[:, 0].ravel(), beta[:, 0].ravel())[0, 1]) < 0.1
  assert np.all(gates.shortcut == 1.0)


@pytest.mark.parametrize(('forward', 'backward', 'level'), MODES)
def test_value_and_gradient_are_multiplied_by_their_coefficients(
  forward: str, backward: str, level: str
) -> None:
  gates = draw_shake_gates(jax.random.key(1), 1, BATCH, forward, backward, level).of_block(0)
  first, second, shortcut = (
    jax.random.normal(jax.random.key(seed), (BATCH, 2, 2, 3)) for seed in range(3)
  )
  value, vjp = jax.vjp(lambda *b: layers.residual_sum(shortcut, b, gates), first, second)
  gradients = vjp(jnp.ones_like(value))
  alpha, beta = (
    np.broadcast_to(np.asarray(g).reshape(2, -1), (2, BATCH))[..., None, None, None]
    for g in (gates.forward, gates.backward)
  )
  np.testing.assert_allclose(
    value, shortcut + alpha[0] * first + alpha[1] * second, rtol=1e-4, atol=1e-6
  )
  for gradient, factor in zip(gradients, beta, strict=True):
    np.testing.assert_allclose(gradient, np.broadcast_to(factor, gradient.shape), rtol=1e-6)


def apply_and_capture(train: bool, *keys: jax.Array) -> list[Any]:
  """The first block's intermediates in a small net, for each key."""
  model = models.create('shake_shake_8_2x4d')
  images = jax.random.normal(jax.random.key(9), (BATCH, 32, 32, 3))
  variables = filled_variables(model)
  apply = jax.jit(
    lambda variables, images, key: model.apply(
      variables, images, train=train, rngs={'shake': key}, capture_intermediates=True, mutable=True
    )
  )
  return [apply(variables, images, key)[1]['intermediates']['stage1_block1'] for key in keys]


def test_branches_are_mixed_evenly_at_test_time() -> None:
  (block,) = apply_and_capture(False, jax.random.key(0))
  branches = [block[f'branch{i}']['__call__'][0] for i in (1, 2)]
  shortcut = block['shortcut']['__call__'][0]
  np.testing.assert_allclose(
    block['__call__'][0], shortcut + 0.5 * branches[0] + 0.5 * branches[1], rtol=1e-4, atol=1e-5
  )


def alphas(block: Any) -> np.ndarray:
  """The coefficient of each image in a block, by least squares."""
  first, second = (np.asarray(block[f'branch{i}']['__call__'][0]) for i in (1, 2))
  mixed = np.asarray(block['__call__'][0]) - np.asarray(block['shortcut']['__call__'][0])
  axes = (1, 2, 3)
  difference = first - second
  return np.sum((mixed - second) * difference, axis=axes) / np.sum(difference**2, axis=axes)


def test_training_draws_new_coefficients_for_each_image_and_pass() -> None:
  first, second = map(alphas, apply_and_capture(True, *jax.random.split(jax.random.key(0))))
  for coefficients in (first, second):
    assert len(set(np.round(coefficients, 4))) == BATCH
    assert np.all((coefficients >= -1e-4) & (coefficients <= 1.0001))
  assert not np.allclose(first, second)


@pytest.mark.parametrize('branches', [2, 3])
def test_normalized_uniforms_are_uniforms_divided_by_their_sum(branches: int) -> None:
  arguments = ('shake', 'shake', 'image', branches, (0.0, 1.0), 'normalized_uniforms')
  gates = draw_shake_gates(jax.random.key(0), BLOCKS, BATCH, *arguments)
  alpha, beta = np.asarray(gates.forward), np.asarray(gates.backward)
  assert alpha.shape == beta.shape == (BLOCKS, branches, BATCH)
  uniforms = np.random.RandomState(0).uniform(size=(200_000, branches))
  expected = np.sort(uniforms[:, 0] / uniforms.sum(axis=1))
  for coefficients in (alpha, beta):
    np.testing.assert_allclose(coefficients.sum(axis=1), 1.0, rtol=1e-6)
    first = np.sort(coefficients[:, 0].ravel())
    quantiles = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(
      np.quantile(first, quantiles), np.quantile(expected, quantiles), atol=0.025
    )
    # Denser in the middle than the uniform coefficients of the simplex: of two, var 1 / 12.
    simplex_variance = (branches - 1) / (branches**2 * (branches + 1))
    assert first.var() < 0.75 * simplex_variance
  assert abs(np.corrcoef(alpha[:, 0].ravel(), beta[:, 0].ravel())[0, 1]) < 0.1


def test_normalized_uniforms_have_no_narrowed_range() -> None:
  with pytest.raises(InputError, match=r'model\.alpha_range'):
    models.create('shake_shake_8_2x4d', coefficients='normalized_uniforms', alpha_range=(0.4, 0.6))
  with pytest.raises(InputError, match=r'model\.coefficients'):
    models.create('shake_shake_8_2x4d', coefficients='uniform')
