"""Names of the layers in pytorchcv (osmr/imgclsmob, version 0.0.74), with most papers' nets."""

import re
from collections.abc import Sequence

from cifar_jax.convert.names import UNIT, Rename, Rules, table

POINTWISE = r'.*\.se\.conv\d'  # squeeze-and-excitation

_STAGE = 'features.stage{1}.unit{2}'
_BODY = (
  (rf'{UNIT}\.conv(\d)', f'{_STAGE}.body.conv{{3}}.conv'),
  (rf'{UNIT}\.norm(\d)', f'{_STAGE}.body.conv{{3}}.bn', 'stage{1}_block{2}.conv{3}'),
  (rf'{UNIT}\.norm\d', f'{_STAGE}.bn'),  # after the last convolution of a PyramidNet
  (rf'{UNIT}\.squeeze_excitation\.squeeze', f'{_STAGE}.se.conv1'),
  (rf'{UNIT}\.squeeze_excitation\.excite', f'{_STAGE}.se.conv2'),
  ('final_norm', 'features.post_activ.bn'),
  ('head', 'output'),
)

# Convolution, norm, ReLU. The nets for ImageNet have a stem with pooling, and four stages.
_post_activation = table(
  *_BODY,
  ('stem_conv', 'features.init_block.conv.conv', 'stage4_block1.conv1'),
  ('stem_norm', 'features.init_block.conv.bn', 'stage4_block1.conv1'),
  ('stem_conv', 'features.init_block.conv'),
  ('stem_norm', 'features.init_block.bn'),
  (rf'{UNIT}\.shortcut_conv', f'{_STAGE}.identity_conv.conv'),
  (rf'{UNIT}\.shortcut_norm', f'{_STAGE}.identity_conv.bn'),
)
_pre_activation = table(
  *_BODY,
  ('stem_conv', 'features.init_block.conv', 'stem_norm'),
  ('stem_norm', 'features.init_block.bn'),
  ('stem_conv', 'features.init_block'),
  (rf'{UNIT}\.shortcut_conv', f'{_STAGE}.identity_conv'),
)
_shake_shake = table(
  ('stem_conv', 'features.init_block.conv'),
  ('stem_norm', 'features.init_block.bn'),
  (rf'{UNIT}\.branch(\d)\.conv(\d)', f'{_STAGE}.branch{{3}}.conv{{4}}.conv'),
  (rf'{UNIT}\.branch(\d)\.norm(\d)', f'{_STAGE}.branch{{3}}.conv{{4}}.bn'),
  (rf'{UNIT}\.shortcut\.conv(\d)', f'{_STAGE}.identity_branch.conv{{3}}'),
  (rf'{UNIT}\.shortcut\.norm', f'{_STAGE}.identity_branch.bn'),
  ('head', 'output'),
)

_LAYER = r'stage(\d+)_layer(\d+)'
_WIDE = 'stage{1}_layer{2}.bottleneck_conv'
_densenet = table(
  ('stem_conv', 'features.init_block.conv', 'stem_norm'),
  ('stem_norm', 'features.init_block.bn'),
  ('stem_conv', 'features.init_block'),
  (rf'{_LAYER}\.bottleneck_conv', f'{_STAGE}.conv1.conv'),
  (rf'{_LAYER}\.bottleneck_norm', f'{_STAGE}.conv1.bn'),
  (rf'{_LAYER}\.conv', f'{_STAGE}.conv2.conv', _WIDE),
  (rf'{_LAYER}\.norm', f'{_STAGE}.conv2.bn', _WIDE),
  (rf'{_LAYER}\.conv', f'{_STAGE}.conv.conv'),
  (rf'{_LAYER}\.norm', f'{_STAGE}.conv.bn'),
  # pytorchcv counts a transition to the stage after it.
  (r'transition(\d)\.conv', 'features.stage{1+1}.trans{1+1}.conv.conv'),
  (r'transition(\d)\.norm', 'features.stage{1+1}.trans{1+1}.conv.bn'),
  ('final_norm', 'features.post_activ.bn'),
  ('head', 'output'),
)

_MLP = (
  (r'hidden(\d)', 'output.fc{1}.fc'),
  ('head', 'output.fc3', 'hidden1'),
  ('head', 'output'),
)
_vgg = table(
  (r'stage(\d)_conv(\d)', f'{_STAGE}.conv'),
  (r'stage(\d)_norm(\d)', f'{_STAGE}.bn'),
  *_MLP,
)
_alexnet = table(  # convolutions 3 to 5, with no pooling between them, are the third stage
  ('conv([12])', 'features.stage{1}.unit1.conv'),
  ('conv([345])', 'features.stage3.unit{1-2}.conv'),
  *_MLP,
)

_mobile = table(
  ('stem_conv', 'features.init_block.conv.conv'),
  ('stem_norm', 'features.init_block.conv.bn'),
  (rf'{UNIT}\.expand_conv', f'{_STAGE}.conv1.conv'),
  (rf'{UNIT}\.expand_norm', f'{_STAGE}.conv1.bn'),
  (rf'{UNIT}\.depthwise_conv', f'{_STAGE}.conv2.conv', 'stage{1}_block{2}.expand_conv'),
  (rf'{UNIT}\.depthwise_norm', f'{_STAGE}.conv2.bn', 'stage{1}_block{2}.expand_conv'),
  (rf'{UNIT}\.project_conv', f'{_STAGE}.conv3.conv', 'stage{1}_block{2}.expand_conv'),
  (rf'{UNIT}\.project_norm', f'{_STAGE}.conv3.bn', 'stage{1}_block{2}.expand_conv'),
  (rf'{UNIT}\.depthwise_conv', f'{_STAGE}.dw_conv.conv'),
  (rf'{UNIT}\.depthwise_norm', f'{_STAGE}.dw_conv.bn'),
  (rf'{UNIT}\.project_conv', f'{_STAGE}.pw_conv.conv'),
  (rf'{UNIT}\.project_norm', f'{_STAGE}.pw_conv.bn'),
  (rf'{UNIT}\.squeeze_excitation\.squeeze', f'{_STAGE}.se.conv1'),
  (rf'{UNIT}\.squeeze_excitation\.excite', f'{_STAGE}.se.conv2'),
  ('head_conv', 'features.final_block.conv'),
  ('head_norm', 'features.final_block.bn'),
  ('head', 'output.fc'),
)
# Stages of EfficientNet that pytorchcv merges: a stage of pytorchcv begins where the map shrinks.
_JOINED = {5: 4, 6: 5, 7: 5}


def _efficientnet(names: Sequence[str]) -> dict[str, str]:
  matches = [match for name in names if (match := re.match(UNIT, name))]
  blocks = {(int(match[1]), int(match[2])) for match in matches}

  def joined(match: re.Match[str]) -> str:
    stage, block = int(match[1]), int(match[2])
    if stage in (5, 7):
      block += sum(other == stage - 1 for other, _ in blocks)
    return f'stage{_JOINED.get(stage, stage)}_block{block}'

  moved = {name: re.sub(UNIT, joined, name) for name in names}
  renamed = _mobile(list(moved.values()))
  return {name: renamed[moved[name]] for name in names}


_RENAMES: dict[str, Rename] = {
  'alexnet': _alexnet,
  'vgg': _vgg,
  'resnet': _post_activation,
  'resnext': _post_activation,
  'preact_resnet': _pre_activation,
  'wide_resnet': _pre_activation,
  'densenet': _densenet,
  'pyramidnet': _post_activation,
  'shake_shake': _shake_shake,
  'efficientnet': _efficientnet,
}
FAMILIES = {family: Rules(rename, POINTWISE) for family, rename in _RENAMES.items()}
