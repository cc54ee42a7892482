"""AugMix: which operations its chains have, and what it makes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.augment import augmix, operations

INDEX = operations.INDEX
draw = jax.jit(augmix.draw, static_argnums=(1, 2, 3))


def test_chains_have_one_to_three_operations_below_the_severity() -> None:
  operation, argument = (np.asarray(array) for array in draw(jax.random.key(0), 3, 4000, 3.0))
  assert operation.shape == argument.shape == (3, 3, 4000)
  in_chain = operation != INDEX['identity']
  assert np.all(in_chain[:, 0]) and np.all(in_chain[:, 1] >= in_chain[:, 2])
  assert np.all(np.abs(in_chain.mean((0, 2)) - [1, 2 / 3, 1 / 3]) < 0.02)
  counts = np.bincount(operation[in_chain], minlength=15)
  names = [operations.NAMES[i] for i in np.flatnonzero(counts)]
  assert sorted(names) == sorted(augmix.OPERATIONS)
  assert np.all(np.abs(counts[counts > 0] / in_chain.sum() - 1 / 9) < 0.01)
  for name, lowest, highest in (('shear_x', 0.003, 0.09), ('rotate', 0.0, 8.0)):
    drawn = np.abs(argument[operation == INDEX[name]])
    assert lowest <= drawn.min() < lowest + 0.01 and highest - 0.01 < drawn.max() <= highest
  assert set(argument[operation == INDEX['posterize']]) == {3.0, 4.0}
  assert np.abs(argument[operation == INDEX['translate_y']]).max() == 3.0  # 0.3 * 32 / 3 pixels


@pytest.mark.ci
def test_an_image_is_mixed_with_the_outcomes_of_its_chains() -> None:
  pixels = np.random.RandomState(0).randint(0, 256, (16, 8, 8, 3))
  images, key, fill = jnp.asarray(pixels / 255, jnp.float32), jax.random.key(3), (0.0, 0.0, 0.0)
  mix = jax.jit(lambda key, x: augmix.augmix(key, x, num_chains=2, severity=3.0))
  chain_key, weight_key, share_key = jax.random.split(key, 3)
  operation, argument = draw(chain_key, 2, 16, 3.0)
  apply = jax.jit(lambda *chain: operations.apply_in_turn(images, chain, fill))
  chains = [np.asarray(apply(operation[i], argument[i])) for i in range(2)]
  assert all(np.abs(chain - images).mean() > 0.05 for chain in chains)
  dirichlet = jax.jit(lambda key: jax.random.dirichlet(key, jnp.ones(2), (16,)))
  weights = np.asarray(dirichlet(weight_key))[..., None, None, None]
  share = np.asarray(jax.random.uniform(share_key, (16, 1, 1, 1)))
  mixture = weights[:, 0] * chains[0] + weights[:, 1] * chains[1]
  expected = (1 - share) * np.asarray(images) + share * mixture
  np.testing.assert_allclose(mix(key, images), expected, atol=1e-5)
  assert np.std(weights[:, 0]) > 0.1 and np.std(share) > 0.1
