"""A net that a notebook changed is measured anew, though it equals the one before."""

import argparse
import types
from typing import Any

import jax
import numpy as np
import pytest

from cifar_jax.analysis.measures import activations, branch_correlation, path_length
from cifar_jax.models import resnet, shake_shake
from tests.support.filled import filled_variables
from tests.support.samples import two_batches

IMAGES = np.random.RandomState(0).standard_normal((4, 8, 8, 3)).astype(np.float32)
LABELS = np.array([1, 2, 3, 4], np.int32)
scale = 1.0  # as a constant in another cell


class OwnResNet(resnet.ResNet):
  """A ResNet with a constant of this file before its first layer."""

  def __call__(self, images: jax.Array, **options: Any) -> jax.Array:
    return super().__call__(images * scale, **options)


class OwnShakeShake(shake_shake.ShakeShake):
  """A Shake-Shake net with a constant of this file before its first layer."""

  def __call__(self, images: jax.Array, **options: Any) -> jax.Array:
    return super().__call__(images * scale + scale, **options)


def of_activations(run: Any) -> Any:
  ((first, *_),) = activations.measure_layers(run.model, [run.variables], run.sample)
  return first['variance']


def of_path_length(run: Any) -> Any:
  arguments = argparse.Namespace(seed=0, lengths=2, draws=1)
  return path_length.measure(run, arguments)['whole_norm']


def of_branch_correlation(run: Any) -> Any:
  measured = branch_correlation.measure(run, argparse.Namespace())
  return measured['correlation'][branch_correlation.WHOLE][0]


@pytest.mark.parametrize(
  ('measure', 'net'),
  [
    (of_activations, OwnResNet((1, 1, 1))),
    (of_path_length, OwnResNet((1, 1, 1))),
    (of_branch_correlation, OwnShakeShake(8, 2, 2)),
  ],
)
def test_a_measure_is_of_the_net_as_it_is(
  measure: Any, net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
  variables = filled_variables(net)
  sample = two_batches(IMAGES, LABELS)
  run = types.SimpleNamespace(model=net, variables=variables, sample=sample)
  before = measure(run)
  monkeypatch.setattr(f'{__name__}.scale', 5.0)
  assert measure(run) != pytest.approx(before, rel=1e-3)
