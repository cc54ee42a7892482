"""Published errors: those of the recipes and of the models agree, and each has a source."""

import pytest

from cifar_jax import models
from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.training import published
from tests.support.paths import ROOT

CONFIGS = ROOT / 'configs'
# Published errors in percent on CIFAR-10 and CIFAR-100 (None: not stated), by recipe and model.
# They stand in the recipe's docstring and in the table PUBLISHED of the model's file.
ERRORS: dict[str, dict[str, tuple[float | None, float | None]]] = {
  'alexnet': {'alexnet': (22.78, 56.13)},
  'densenet': {
    'densenet_40_12': (5.24, 24.42),
    'densenet_100_12': (4.10, 20.20),
    'densenet_100_24': (3.74, 19.25),
    'densenet_bc_100_12': (4.51, 22.27),
    'densenet_bc_250_24': (3.62, 17.60),
    'densenet_bc_190_40': (3.46, 17.18),
  },
  'fractalnet': {'fractalnet20': (4.60, 23.73)},
  'googlenet': {'googlenet': (None, 21.97)},
  'preact_resnet': {
    'preact_resnet110': (6.37, None),
    'preact_resnet164': (5.46, 24.33),
    'preact_resnet1001': (4.92, 22.71),
  },
  'pyramidnet': {
    'pyramidnet110_mul_4.75': (4.62, 23.16),
    'pyramidnet110_mul_8': (4.50, 20.94),
    'pyramidnet110_mul_27': (4.06, 18.79),
    'pyramidnet110_a48': (4.62, 23.31),
    'pyramidnet110_a48_short': (4.81, None),
    'pyramidnet110_a84': (4.27, 20.21),
    'pyramidnet110_a270': (3.73, 18.25),
    'pyramidnet164_a48_bottleneck': (4.21, 19.52),
    'pyramidnet164_a84_bottleneck': (3.96, 18.32),
    'pyramidnet164_a270_bottleneck': (3.48, 17.01),
    'pyramidnet200_a240_bottleneck': (3.44, 16.51),
    'pyramidnet236_a220_bottleneck': (3.40, 16.37),
    'pyramidnet272_a200_bottleneck': (3.31, 16.35),
  },
  'resnet': {
    'resnet20': (8.75, None),
    'resnet32': (7.51, None),
    'resnet44': (7.17, None),
    'resnet56': (6.97, None),
    'resnet110': (6.43, None),
    'resnet1202': (7.93, None),
  },
  'resnext': {'resnext_29_8x64d': (3.65, 17.77), 'resnext_29_16x64d': (3.58, 17.31)},
  'se_resnet': {
    'se_preact_resnet110': (5.21, 23.85),
    'se_preact_resnet164': (4.39, 21.31),
  },
  'stochastic_depth': {
    'resnet110_stochastic_depth': (5.23, 24.58),
    'resnet1202_stochastic_depth': (4.91, None),
  },
  'vgg': {'vgg19_bn': (6.66, 28.05), 'vgg16_bn': (7.36, None)},
  'wide_resnet': {
    'wrn_40_4': (4.53, 21.18),
    'wrn_16_8': (4.27, 20.43),
    'wrn_28_10': (4.00, 19.25),
  },
}
# Models whose errors only their recipe states, because no table of models lists them.
ONLY_IN_THE_RECIPE = {'se_preact_resnet110', 'se_preact_resnet164'}


@pytest.mark.parametrize('config', ERRORS)
def test_recipes_and_models_state_the_same_published_errors(config: str) -> None:
  docstring = (CONFIGS / f'{config}.py').read_text().split('"""')[1]
  for name, errors in ERRORS[config].items():
    known = models.published(name)
    assert (known is None) == (name in ONLY_IN_THE_RECIPE), name
    for dataset, error in zip(('cifar10', 'cifar100'), errors, strict=True):
      if error is not None:
        assert f'{error:.2f}' in docstring, name
        assert known is None or known.error(dataset) == error, name


def test_every_published_error_is_of_a_registered_model_and_has_a_source() -> None:
  for family in models.FAMILIES.values():
    assert set(family.published) <= set(family.names)
    for source, *errors, _ in family.published.values():
      assert source and any(errors)
      assert all(0 < error < 100 for error in errors if error is not None)


@pytest.mark.parametrize(
  ('recipe', 'error'),
  [
    ('resnet.py', 8.75), ('resnet.py:dataset=svhn', None),
    ('shake_shake.py:base_width=32', 3.55), ('shake_shake.py:base_width=32,mode=E-E-B', None),
    ('shake_shake.py:net=a', None), ('shake_shake.py:net=resnext,dataset=cifar100', 15.85),
    ('wide_resnet.py', 4.00), ('wide_resnet.py:dropout=0.3', None),
    ('fractalnet.py', 4.60), ('fractalnet.py:regularize=false', None),
    ('densenet.py', 4.51), ('densenet.py:remat=true', 4.51), ('densenet.py:augment=false', None),
    ('pyramidnet.py', 4.62), ('stochastic_depth.py', 5.23), ('speedrun.py', 5.99),
    ('speedrun.py:dtype=bfloat16', 5.99), ('vgg.py', 6.66), ('alexnet.py', 22.78),
    ('googlenet.py:dataset=cifar100', 21.97), ('preact_resnet.py', 5.46), ('resnext.py', 3.65),
  ],
)  # fmt: skip
def test_a_result_stands_beside_the_error_of_its_very_net(recipe: str, error: float | None) -> None:
  found = published.error_of(loading.load(f'{CONFIGS}/{recipe}'))
  assert (found and found['error_percent']) == error


def test_a_run_without_crops_or_with_given_weights_stands_beside_no_published_error() -> None:
  config = loading.load(f'{CONFIGS}/resnet.py')
  config.augment.pad = 0
  assert published.error_of(config) is None
  config.augment.pad = 4
  assert published.error_of(config)
  override(config, ['--config.init.source=weights.npz'])
  assert published.error_of(config) is None


def test_a_report_finds_an_error_by_model_and_data_set() -> None:
  assert models.published('resnet8') is None
  assert models.published_error('wrn_28_10', 'cifar100') == {
    'error_percent': 19.25,
    'source': 'Zagoruyko and Komodakis 2016, table 5',
  }
  assert models.published_error('wrn_28_10', 'imagenet') is None
  assert models.published_error('wrn_28_10', 'svhn') is None
  assert models.published_error('vgg11_imagenet', 'cifar10') is None
