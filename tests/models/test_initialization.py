"""The initialisations that a net's fields choose: Xavier's weights, and the classifier's biases."""

from typing import Any

import jax
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.errors import InputError
from tests.support import fill

NETS = ('shake_shake_8_2x8d', 'shake_shake_resnext_11_2x2x4d', 'vgg11')


def initial_params(name: str, **fields: Any) -> Any:
  """The initial parameters of a net."""
  model = models.create(name, **fields)
  init = jax.jit(lambda: model.init(jax.random.key(0), fill.images(1), train=False)['params'])
  return jax.tree.map(np.asarray, init())


def kernels(params: Any) -> list[np.ndarray]:
  """All kernels in a tree of parameters."""
  leaves = jax.tree.leaves_with_path(params)
  return [leaf for path, leaf in leaves if jax.tree_util.keystr(path).endswith("['kernel']")]


@pytest.mark.ci
@pytest.mark.parametrize('name', NETS)
def test_xavier_draws_all_kernels_uniformly_within_its_bounds(name: str) -> None:
  drawn = kernels(initial_params(name, initialization='xavier'))
  assert len(drawn) >= 9
  for kernel in drawn:
    *taps, inputs, outputs = kernel.shape
    bound = np.sqrt(6 / (np.prod(taps) * (inputs + outputs)))  # Glorot and Bengio 2010, eq. 16
    assert 0.8 * bound < np.abs(kernel).max() < bound * (1 + 1e-6)
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.2)


@pytest.mark.ci
def test_torchs_initialisation_is_uniform_within_the_root_of_the_inverse_fan_in() -> None:
  drawn = kernels(initial_params('resnet8', initialization='torch', shortcut='project'))
  assert len(drawn) == 10  # stem, three blocks of two, two projections, classifier
  for kernel in drawn:
    bound = 1 / np.sqrt(np.prod(kernel.shape[:-1]))
    assert 0.8 * bound < np.abs(kernel).max() < bound * (1 + 1e-6)
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.2)


@pytest.mark.parametrize('name', NETS)
def test_an_unknown_initialisation_is_named(name: str) -> None:
  with pytest.raises(InputError, match=r"model\.initialization is 'glorot'.* he, xavier"):
    models.create(name, initialization='glorot')


@pytest.mark.ci
def test_the_head_bias_changes_the_classifier_alone() -> None:
  plain, biased = (initial_params(NETS[0], head_bias=bias) for bias in (0.0, 0.1))
  np.testing.assert_array_equal(biased['head'].pop('bias'), np.full(10, 0.1, np.float32))
  np.testing.assert_array_equal(plain['head'].pop('bias'), np.zeros(10))
  jax.tree.map(np.testing.assert_array_equal, plain, biased)
