"""The registry: the names and fields that it refuses, with a message that says what is possible."""

from typing import Any

import pytest

from cifar_jax import models
from cifar_jax.errors import InputError
from tests.support.fake_cifar import message

SHAKE_DROP = {'shake_drop': 'pixel', 'survival_probability': 0.5}
IMPOSSIBLE: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
  ('resnet20', {'dtype': 'float16'}, ['float16', 'bfloat16']),
  ('resnet20', {'num_classes': 0}, ['class']),
  ('resnet21', {}, ['6n + 2', '21']),
  ('resnet_20', {}, ['resnet20', 'resnet_20']),
  ('resnet20', {'dropout': 0.1}, ['dropout', 'shortcut', 'survival_probability']),
  ('resnet20', {'shortcut': 'c'}, ['pad', 'project']),
  ('resnet8', {'survival_probability': 0.0}, ['survival_probability']),
  ('preact_resnet12_bottleneck', {}, ['9n + 2', '12']),
  ('wrn_28_0', {}, ['widen factor', '0']),
  ('wrn_27_10', {}, ['6n + 4', '27']),
  ('wrn_10_1', {'dropout': 1.0}, ['dropout']),
  ('alexnet_one_tower', {}, ['alexnet_one_tower_imagenet']),
  ('alexnet', {'groups': 3}, ['groups', '3', '1', '2']),
  ('alexnet', {'dropout': 1.0}, ['dropout', 'below 1']),
  ('alexnet', {'head': 'mlp'}, ['head', 'groups', 'local_response_norm', 'dropout']),
  ('vgg12', {}, ['vgg12', 'nearest', 'vgg13']),
  ('vgg16_imagenet_bn', {}, ['[_bn][_imagenet]']),
  ('vgg16', {'head': 'cnn'}, ['head', 'linear', 'mlp']),
  ('vgg16', {'dropout': -0.1}, ['dropout', 'at least 0']),
  ('vgg16', {'groups': 2}, ['groups', 'dropout, head']),
  ('googlenet', {'five': '7x7'}, ['five', '7x7', '5x5', '3x3_3x3']),
  ('googlenet', {'width': 0.0}, ['width', '0.0']),
  ('googlenet', {'dropout': 1.0}, ['dropout', '1.0']),
  ('googlenet', {'auxiliary_weight': -1.0}, ['auxiliary_weight', '-1.0']),
  ('googlenet', {'depth': 3}, ['depth', 'auxiliary', 'five']),
  ('googlenet_cifar', {}, ['googlenet_cifar', 'googlenet_imagenet']),
  ('densenet_41_12', {}, ['3n + 4', '41', '40', '43']),
  ('densenet_bc_101_12', {}, ['6n + 4', '101', '100', '106']),
  ('densenet_bc_100_0', {}, ['growth rate', '0']),
  ('densenet_40_12', {'dropout': 1.0}, ['dropout', 'below 1']),
  ('densenet_40_12', {'compression': 0.5}, ['compression', 'dropout', 'remat']),
  ('densenet_bc_100', {}, ['densenet_bc_100_12', 'growth_rate']),
  ('fractalnet21', {}, ['5 * 2^n', '21']),
  ('fractalnet0', {}, ['5 * 2^n', '0']),
  ('fractalnet20_w0', {}, ['width', '0']),
  ('fractalnet20', {'drop_path': 1.0}, ['drop_path', 'below 1']),
  ('fractalnet20', {'dropout': -0.1}, ['dropout', 'at least 0']),
  ('fractalnet20', {'columns': 'first'}, ['first', 'all', 'deepest']),
  ('fractalnet_20', {}, ['fractalnet20', 'depth']),
  ('pyramidnet111_a48', {}, ['6n + 2', '111', '110', '116']),
  ('pyramidnet111_mul_8', {}, ['6n + 2', '111', '110', '116']),
  ('pyramidnet112_mul_8_bottleneck', {}, ['9n + 2', '112', '110', '119']),
  ('pyramidnet110_mul_0.5', {}, ['alpha', '0.5']),
  ('pyramidnet110_mul4.75', {}, ['pyramidnet110_mul_4.75']),
  ('pyramidnet8_a6', {'growth': 'mul'}, ['growth', 'first_relu', 'shake_drop']),
  ('pyramidnet8_a6', {'shortcut': 'pool_pad'}, ['pool_pad', 'project', 'mixed']),
  ('pyramidnet8_a6', SHAKE_DROP, ['pixel', 'batch', 'image']),
  ('pyramidnet8_a6', {'shake_drop': 'image'}, ['survival_probability', '0.5']),
  ('shake_shake_27_2x32d', {}, ['6n + 2', '27']),
  ('shake_shake_26_1x32d', {}, ['2 branches', '1']),
  ('shake_shake_26_2x33d', {}, ['even', '33']),
  ('shake_shake_26_2x32d', {'forward': 'keep'}, ['forward', 'even', 'shake']),
  ('shake_shake_26_2x32d', {'backward': 'm6'}, ['m6', 'm5', 'keep']),
  ('shake_shake_26_2x32d', {'level': 'pixel'}, ['pixel', 'image']),
  ('shake_shake_26_3x32d', {'backward': 'm2'}, ['m2', '2 branches']),
  ('shake_shake_26_2x32d', {'backward': 'm2', 'forward': 'even'}, ['m2', 'shake']),
  ('shake_shake_26_2x32d', {'branch_convs': 3}, ['branch_convs', '3']),
  ('shake_shake_26_2x32d', {'alpha_range': (0.3, 0.6)}, ['alpha_range', '0.5']),
  ('shake_shake_26_2x32d', {'alpha_range': (-0.1, 1.1)}, ['alpha_range', '[0, 1]']),
  ('shake_shake_26_3x32d', {'alpha_range': (0.4, 0.6)}, ['alpha_range', '2 branches']),
  ('shake_shake_resnext_26_2x4x64d', {}, ['9n + 2', '26']),
  ('shake_shake_resnext_29_2x0x64d', {}, ['cardinality', '0']),
  (
    'shake_shake_resnext_29_2x64d',
    {},
    ['{cardinality}', 'shake_shake_resnext_29_2x4x64d'],
  ),
  ('shake_shake_resnext_29_2x4x64d', {'skip': False}, ['skip', 'backward']),
  ('se_plain20', {}, ['no branches', 'se_']),
  ('plain20_stochastic_depth', {}, ['no branches', '_stochastic_depth']),
  ('plain20', {'survival_probability': 0.5}, ['no branches', 'survival_probability']),
  ('resnet164', {'squeeze_excitation': 65}, ['64 channels']),
  ('preact_resnet164', {'squeeze_excitation': 65}, ['64 channels']),
  ('pyramidnet164_a48_bottleneck', {'squeeze_excitation': 65}, ['64 channels']),
  ('deformable_resnet21', {}, ['6n + 2', '21']),
  ('deformable_resnet_20', {}, ['deformable_resnet20']),
  ('deformable_resnet20', {'dropout': 0.1}, ['modulated', 'shortcut']),
  ('efficientnet_b8', {}, ['efficientnet_b8', 'efficientnet_b{0..7}']),
  ('efficientnet_b0', {'survival_probability': 0.0}, ['survival_probability', '0.0']),
  ('efficientnet_b0', {'dropout': -0.1}, ['dropout', '-0.1']),
  ('efficientnet_b0', {'width': 0.0}, ['width', '0.0']),
  ('efficientnet_b0', {'shortcut': 'pad'}, ['shortcut', 'survival_probability', 'depth']),
  ('speed_net_64_0_256', {}, ['at least 1']),
  ('speed_net_30_4_8', {'fit_images': 0}, ['fit_images is 0']),
  ('speed_net_64_256', {}, ['speed_net_{width1}']),
)


@pytest.mark.parametrize(('name', 'fields', 'words'), IMPOSSIBLE)
def test_impossible_models_are_refused_with_what_is_possible(
  name: str, fields: dict[str, Any], words: list[str]
) -> None:
  text = message(lambda: models.create(name, **fields))
  assert all(word in text for word in words), text


@pytest.mark.parametrize(
  ('name', 'fields', 'image_size', 'words'),
  [
    ('alexnet_imagenet', {}, 32, 'too small'),
    ('vgg11', {}, 16, 'too small'),
    ('googlenet_imagenet', {'auxiliary': True}, 32, '5x5'),
    ('fractalnet5_w16', {}, 28, '32 x 32'),  # which cannot be halved five times
  ],
)
def test_too_small_images_are_refused(
  name: str, fields: dict[str, Any], image_size: int, words: str
) -> None:
  model = models.create(name, **fields)
  assert words in message(lambda: models.abstract_variables(model, image_size))


def test_every_registered_name_makes_a_model_and_a_long_number_does_not() -> None:
  for name in models.NAMES:
    models.create(name)
  for name in ('resnet1234567', 'speed_net_64_1234567_8'):
    with pytest.raises(InputError, match='more than 6 digits'):
      models.create(name)
