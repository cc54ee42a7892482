"""The initialisations: those of the papers, and those that a net's fields choose."""

from collections.abc import Callable
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.errors import InputError
from tests.support import fill
from tests.support.called import modules as called_modules

NETS = ('shake_shake_8_2x8d', 'shake_shake_resnext_11_2x2x4d', 'vgg11')


# By net, the standard deviation of a convolution's initial weights, with fan-in and fan-out.
HE_FAN_OUT = lambda _, fan_out: (2 / fan_out) ** 0.5  # noqa: E731
PAPERS: dict[str, Callable[[float, float], float]] = {
  'alexnet': lambda fan_in, _: (1 / (3 * fan_in)) ** 0.5,  # Torch's: uniform within 1 / √fan-in
  'vgg11': HE_FAN_OUT,
  'googlenet': HE_FAN_OUT,
  'resnet8': HE_FAN_OUT,
  'plain8': HE_FAN_OUT,
  'se_resnet8': HE_FAN_OUT,
  'preact_resnet8': HE_FAN_OUT,
  'wrn_10_2': lambda fan_in, _: (2 / fan_in) ** 0.5,  # the authors' models/utils.lua
  'resnext_29_4x64d': HE_FAN_OUT,
  'densenet_bc_22_12': HE_FAN_OUT,
  'fractalnet5_w16': lambda fan_in, _: (1 / fan_in) ** 0.5,  # Caffe's filler `xavier`
  'pyramidnet8_a12': HE_FAN_OUT,
  'shake_shake_8_2x8d': HE_FAN_OUT,
  'shake_shake_resnext_11_2x2x4d': HE_FAN_OUT,
  'efficientnet_b0': HE_FAN_OUT,
}


@pytest.mark.ci
@pytest.mark.parametrize('name', PAPERS)
def test_convolutions_begin_as_in_the_paper_or_its_authors_code(name: str) -> None:
  model = models.create(name)
  params = flax.traverse_util.flatten_dict(models.abstract_variables(model)['params'], sep='/')
  drawn = 0
  for path, module in called_modules(model, train=False).items():
    kernel = params.get(f'{path}/kernel')
    if kernel is None or kernel.ndim != 4 or kernel.size < 2000 or drawn >= 3:
      continue
    *taps, inputs, outputs = kernel.shape
    if inputs == outputs:  # fan-in and fan-out are alike
      continue
    initializer: Any = getattr(module, 'kernel_init')  # noqa: B009
    values = np.asarray(initializer(jax.random.key(1), kernel.shape, jnp.float32))
    expected = PAPERS[name](np.prod(taps) * inputs, np.prod(taps) * outputs)
    assert values.std() == pytest.approx(expected, rel=0.06), path
    drawn += 1
  assert drawn >= 2


@pytest.mark.ci
def test_the_gates_of_senets_begin_with_he_fan_out() -> None:
  dense = initial_params('se_resnet8')['stage3_block1']['squeeze_excitation']
  for name, fan_out in (('squeeze', 4), ('excite', 64)):
    kernel = dense[name]['kernel']
    assert kernel.shape[1] == fan_out and not dense[name]['bias'].any()
    assert kernel.std() == pytest.approx((2 / fan_out) ** 0.5, rel=0.15)


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
