"""The costs of a run's net are those of an image of the run."""

import argparse
import types
from typing import Any

import numpy as np

from cifar_jax import models
from cifar_jax.analysis.measures import complexity
from cifar_jax.models.cost import counting
from tests.support.filled import filled_variables
from tests.support.samples import two_batches


def test_the_costs_are_those_of_the_images_that_the_run_has() -> None:
  net = models.create('resnet8')
  images = np.random.RandomState(0).standard_normal((4, 16, 16, 3)).astype(np.float32)
  sample = two_batches(images, np.arange(4))
  run: Any = types.SimpleNamespace(model=net, variables=filled_variables(net), sample=sample)
  measured = complexity.measure(run, argparse.Namespace())
  of_a_quarter, of_cifar = counting.measure(net, (16, 16, 3)), counting.measure(net)
  assert measured['multiply_adds'] == of_a_quarter.multiply_adds < 0.3 * of_cifar.multiply_adds
  assert measured['training_bytes'] == of_a_quarter.training_bytes < 0.3 * of_cifar.training_bytes
  assert measured['num_params'] == of_cifar.num_params
