"""ReLU, whose gradient is written out, against Flax's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.models import layers


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_relu_has_the_values_and_the_gradient_of_flax(dtype: str) -> None:
  x = jnp.array([-2.0, -0.0, 0.0, 0.5, 3.0, jnp.inf, -jnp.inf, jnp.nan], dtype)
  slope = jnp.arange(1, 9).astype(dtype)
  y, pull_back = jax.vjp(layers.relu, x)
  expected, pull_back_expected = jax.vjp(nn.relu, x)
  assert y.dtype == x.dtype
  np.testing.assert_array_equal(y.astype('float32'), expected.astype('float32'))  # NaN too
  (gradient,), (gradient_expected,) = pull_back(slope), pull_back_expected(slope)
  assert gradient.dtype == x.dtype
  np.testing.assert_array_equal(gradient.astype('float32'), gradient_expected.astype('float32'))
