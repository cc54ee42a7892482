"""The convolution of scanned stages against jax.lax's own, value and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.models import convolution

SHAPES = [  # height, width, kernel, stride, padding
  (8, 8, 3, 1, (1, 1)),
  (8, 8, 3, 2, (1, 1)),
  (8, 8, 1, 1, (0, 0)),
  (8, 8, 1, 2, (0, 0)),
  (9, 7, 3, 2, (1, 1)),
  (7, 8, 3, 2, (0, 2)),
]


@pytest.mark.parametrize(('height', 'width', 'taps', 'stride', 'padding'), SHAPES)
def test_it_is_the_convolution_of_jax(height, width, taps, stride, padding):
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (2, height, width, 3))
  kernel = jax.random.normal(keys[1], (taps, taps, 3, 4))
  arguments = ((stride, stride), (padding, padding))

  def plain(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, *arguments, dimension_numbers=convolution.LAYOUT)

  value, vjp = jax.vjp(lambda x, k: convolution.loop_conv(x, k, *arguments), x, kernel)
  expected, expected_vjp = jax.vjp(plain, x, kernel)
  np.testing.assert_array_equal(value, expected)
  cotangent = jax.random.normal(keys[2], value.shape)
  for got, wanted in zip(vjp(cotangent), expected_vjp(cotangent), strict=True):
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_it_is_taken_only_while_a_scan_is_traced_on_a_cpu():
  x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2))
  arguments = ((1, 1), ((1, 1), (1, 1)))

  def taken(groups=1):
    traced = jax.make_jaxpr(
      lambda x, k: convolution.conv_general_dilated(
        x, k, *arguments, dimension_numbers=convolution.LAYOUT, feature_group_count=groups
      )
    )
    return 'custom_vjp' in str(traced(x, kernel[:, :, : 2 // groups]))

  assert not taken()
  with convolution.scanned():
    assert taken() and not taken(groups=2)
  assert not taken()
