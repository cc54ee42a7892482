"""What each family drops in training: the layers and the fractions of its paper."""

from typing import Any

import flax.linen as nn
import pytest

from cifar_jax import models
from tests.support.called import modules as called_modules


def dropped(model: nn.Module, train: bool) -> list[float]:
  """The fraction that each dropout of a model drops, above 0, sorted."""
  called = called_modules(model, train=train).values()
  return sorted(module.rate for module in called if isinstance(module, nn.Dropout) and module.rate)


@pytest.mark.ci
@pytest.mark.parametrize(
  ('name', 'fields', 'rates'),
  [
    ('alexnet', {}, []),  # kuangliu's has none
    ('alexnet_imagenet', {}, [0.5, 0.5]),  # Krizhevsky et al. 2012, section 4.2
    ('vgg16_imagenet', {}, [0.5, 0.5]),  # Simonyan and Zisserman 2015, section 3.1
    ('vgg16_bn', {}, []),
    ('googlenet', {'auxiliary': True}, [0.4, 0.7, 0.7]),  # Szegedy et al. 2015, section 5
    ('efficientnet_b0', {}, [0.2]),  # Tan and Le 2019, section 5.2
    ('wrn_16_2', {'dropout': 0.3}, [0.3] * 6),
    ('fractalnet5_w16', {'dropout': 0.4}, [0.1, 0.2, 0.3, 0.4]),  # rises from 0, section 4.2
    ('densenet_bc_10_6', {'dropout': 0.2}, [0.2] * 8),
  ],
)
def test_each_family_drops_what_its_paper_drops(
  name: str, fields: dict[str, Any], rates: list[float]
) -> None:
  model = models.create(name, **fields)
  assert dropped(model, train=True) == pytest.approx(rates)
  assert not dropped(model, train=False)


def test_the_auxiliary_losses_of_googlenet_weigh_three_tenths() -> None:
  # Szegedy et al. 2015, section 5.
  assert models.create('googlenet', auxiliary=True).auxiliary_weight == 0.3
