"""Gradients along paths, and the shares of the gradient by the length of a path."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.analysis.gates import block_names, gates_at_test_time
from cifar_jax.analysis.measures import path_length
from cifar_jax.errors import InputError
from tests.support.filled import filled_variables

RANDOM = np.random.RandomState(0)
IMAGES = jnp.asarray(RANDOM.standard_normal((3, 8, 8, 3)), jnp.float32)
LABELS = jnp.asarray([1, 9, -1], jnp.int32)


@pytest.mark.parametrize(
  ('name', 'fields'),
  [('resnet8', {}), ('pyramidnet8_a6', {'survival_probability': 0.5}),
   ('shake_shake_8_2x2d', {})],
)  # fmt: skip
def test_the_gradients_along_all_paths_add_up_to_the_whole(
  name: str, fields: dict[str, Any]
) -> None:
  net = models.create(name, **fields)
  variables, gates = filled_variables(net), gates_at_test_time(net)
  whole = path_length.input_gradient(net, variables, IMAGES, LABELS, gates)
  paths = [
    path_length.input_gradient(
      net, variables, IMAGES, LABELS, path_length.along_path(gates, jnp.asarray(through))
    )
    for through in itertools.product((0.0, 1.0), repeat=net.num_blocks)
  ]
  assert len(paths) == 8 and all(np.any(path) for path in paths)
  np.testing.assert_allclose(sum(paths), whole, rtol=1e-4, atol=1e-6 * np.abs(whole).max())
  assert not np.any(whole[2])  # its label is negative


def test_the_gradient_is_that_of_the_cross_entropy() -> None:
  net = models.create('resnet8')
  variables, gates = filled_variables(net), gates_at_test_time(net)
  gradient = path_length.input_gradient(net, variables, IMAGES, LABELS, gates)

  def loss(images: jax.Array) -> jax.Array:
    logits: Any = net.apply(variables, images, train=False)
    return -jnp.sum(jax.nn.log_softmax(logits)[jnp.arange(2), LABELS[:2]])

  np.testing.assert_allclose(
    gradient[:2], jax.jit(jax.grad(loss))(IMAGES[:2]), rtol=1e-4, atol=1e-7
  )


def test_norms_do_not_underflow() -> None:
  gradient = np.array([3.0, 4.0, 0.0]) * np.array([1e-30, 1.0, 0.0])[:, None]
  norms = path_length.norms(jnp.asarray(gradient.reshape(3, 1, 1, 3), jnp.float32))
  np.testing.assert_allclose(norms, [5e-30, 5.0, 0.0], rtol=1e-6)


def test_shares_are_binomial_if_all_paths_have_equal_norms() -> None:
  share = path_length.gradient_share(3, [0, 3], [0.1, 0.1])
  np.testing.assert_allclose(share, [1 / 8, 3 / 8, 3 / 8, 1 / 8])


def test_norms_are_interpolated_geometrically_between_measured_lengths() -> None:
  share = path_length.gradient_share(2, [0, 2], [1.0, 0.01])  # so 0.1 at length 1
  np.testing.assert_allclose(share, np.array([1.0, 0.2, 0.01]) / 1.21)


def test_central_lengths_leave_out_both_tails() -> None:
  share = np.array([0.02, 0.02, 0.5, 0.44, 0.02])
  assert path_length.central_lengths(share) == (1, 3)


def test_the_paths_of_54_blocks_are_about_half_as_long() -> None:
  share = path_length.path_share(54)
  assert path_length.central_lengths(share) == (20, 34)
  # Veit et al., section 3.1: "more than 95 % of paths go through 19 to 35 modules".
  assert share[19:36].sum() == pytest.approx(0.980, abs=5e-4)


@pytest.mark.parametrize('name', ['densenet_bc_40_12', 'plain20', 'vgg11_bn'])
def test_nets_without_shortcuts_are_refused(name: str) -> None:
  with pytest.raises(InputError, match=r'^a net of the kind .* take a residual net$'):
    gates_at_test_time(models.create(name))


def test_nets_with_some_blocks_without_a_shortcut_are_refused() -> None:
  net = models.create('efficientnet_b0')
  with pytest.raises(InputError, match='have no shortcut'):
    block_names(net, models.abstract_variables(net)['params'])


def test_the_blocks_of_a_scanned_stage_are_numbered() -> None:
  net = models.create('resnet1202')
  names = block_names(net, models.abstract_variables(net)['params'])
  assert len(names) == 600 and names[:2] == ['stage1_block1', 'stage1_block2']
  assert names[200] == 'stage2_block1' and names[-1] == 'stage3_block200'
