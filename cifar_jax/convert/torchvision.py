"""Names of the layers in torchvision (version 0.29), and in two zoos of nets for CIFAR.

The zoos are kuangliu/pytorch-cifar and weiaicunzai/pytorch-cifar100. The ResNets for CIFAR of
chenyaofo/pytorch-cifar-models and bearpaw/pytorch-classification have torchvision's names.
"""

import re
from collections.abc import Sequence

from cifar_jax.convert.names import UNIT, Rename, Rules, table

# Squeeze-and-excitation in torchvision, and in kuangliu/pytorch-cifar.
POINTWISE = r'.*\.block\.\d\.fc\d'
KUANGLIU_POINTWISE = r'layer\d\.\d+\.fc\d'

_BLOCK = 'layer{1}.{2-1}'
_RESIDUAL = (
  ('stem_conv', 'conv1'),
  ('stem_norm', 'bn1'),
  (rf'{UNIT}\.conv(\d)', f'{_BLOCK}.conv{{3}}'),
  (rf'{UNIT}\.norm(\d)', f'{_BLOCK}.bn{{3}}'),
)
_resnet = table(
  *_RESIDUAL,
  (rf'{UNIT}\.shortcut_conv', f'{_BLOCK}.downsample.0'),
  (rf'{UNIT}\.shortcut_norm', f'{_BLOCK}.downsample.1'),
  ('head', 'fc'),
)
kuangliu_resnet = table(
  *_RESIDUAL,
  (rf'{UNIT}\.shortcut_conv', f'{_BLOCK}.shortcut.0'),
  (rf'{UNIT}\.shortcut_norm', f'{_BLOCK}.shortcut.1'),
  (rf'{UNIT}\.squeeze_excitation\.squeeze', f'{_BLOCK}.fc1'),
  (rf'{UNIT}\.squeeze_excitation\.excite', f'{_BLOCK}.fc2'),
  ('head', 'linear'),
)

_SHIFTED = 'conv{1+1}_x.{2-1}'
_weiaicunzai_resnet = table(  # convolution, norm and ReLU are counted together
  ('stem_conv', 'conv1.0'),
  ('stem_norm', 'conv1.1'),
  *(
    row
    for i in (1, 2, 3)
    for row in (
      (rf'{UNIT}\.conv{i}', f'{_SHIFTED}.residual_function.{3 * i - 3}'),
      (rf'{UNIT}\.norm{i}', f'{_SHIFTED}.residual_function.{3 * i - 2}'),
    )
  ),
  (rf'{UNIT}\.shortcut_conv', f'{_SHIFTED}.shortcut.0'),
  (rf'{UNIT}\.shortcut_norm', f'{_SHIFTED}.shortcut.1'),
  ('head', 'fc'),
)

_LAYER = r'stage(\d+)_layer(\d+)'
_DENSE = 'features.denseblock{1}.denselayer{2}'
_densenet = table(  # always with bottlenecks; the last norm is the fifth for any number of stages
  ('stem_conv', 'features.conv0'),
  ('stem_norm', 'features.norm0'),
  (rf'{_LAYER}\.bottleneck_(conv|norm)', f'{_DENSE}.{{3}}1'),
  (rf'{_LAYER}\.(conv|norm)', f'{_DENSE}.{{3}}2'),
  (r'transition(\d)\.(conv|norm)', 'features.transition{1}.{2}'),
  ('final_norm', 'features.norm5'),
  ('head', 'classifier'),
)

_alexnet = table(  # counted together with the ReLUs and the pooling
  ('conv1', 'features.0'),
  ('conv2', 'features.3'),
  ('conv3', 'features.6'),
  ('conv4', 'features.8'),
  ('conv5', 'features.10'),
  ('hidden1', 'classifier.1'),
  ('hidden2', 'classifier.4'),
  ('head', 'classifier.6', 'hidden1'),
  ('head', 'classifier'),
)
_vgg_classifier = table(
  ('hidden1', 'classifier.0'),
  ('hidden2', 'classifier.3'),
  ('head', 'classifier.6', 'hidden1'),
  ('head', 'classifier'),
)


def _vgg(names: Sequence[str]) -> dict[str, str]:
  """Counts layers in their order: convolution, norm (if any) and ReLU, and a pooling per stage."""
  result, index, last_stage = _vgg_classifier(names), 0, 1
  convs = [match for name in names if (match := re.fullmatch(r'stage(\d)_conv(\d)', name))]
  for stage, i in sorted((int(match[1]), int(match[2])) for match in convs):
    index += stage - last_stage
    last_stage = stage
    result[f'stage{stage}_conv{i}'] = f'features.{index}'
    if f'stage{stage}_norm{i}' in names:
      result[f'stage{stage}_norm{i}'] = f'features.{index + 1}'
      index += 1
    index += 2
  return result


_INCEPTION = r'(inception\d[a-e])'
_googlenet = table(
  (r'stem1\.conv1', 'conv1.conv'),
  (r'stem1\.norm1', 'conv1.bn'),
  (r'stem2\.conv(\d)', 'conv{1+1}.conv'),
  (r'stem2\.norm(\d)', 'conv{1+1}.bn'),
  (rf'{_INCEPTION}\.branch1x1\.conv1', '{1}.branch1.conv'),
  (rf'{_INCEPTION}\.branch1x1\.norm1', '{1}.branch1.bn'),
  (rf'{_INCEPTION}\.branch3x3\.conv(\d)', '{1}.branch2.{2-1}.conv'),
  (rf'{_INCEPTION}\.branch3x3\.norm(\d)', '{1}.branch2.{2-1}.bn'),
  (rf'{_INCEPTION}\.branch5x5\.conv(\d)', '{1}.branch3.{2-1}.conv'),
  (rf'{_INCEPTION}\.branch5x5\.norm(\d)', '{1}.branch3.{2-1}.bn'),
  (rf'{_INCEPTION}\.branch_pool\.conv1', '{1}.branch4.1.conv'),
  (rf'{_INCEPTION}\.branch_pool\.norm1', '{1}.branch4.1.bn'),
  (r'auxiliary(\d)\.convs\.conv1', 'aux{1}.conv.conv'),
  (r'auxiliary(\d)\.convs\.norm1', 'aux{1}.conv.bn'),
  (r'auxiliary(\d)\.hidden', 'aux{1}.fc1'),
  (r'auxiliary(\d)\.head', 'aux{1}.fc2'),
  ('head', 'fc'),
)

_MB = 'features.{1}.{2-1}.block'
_WIDE = 'stage{1}_block{2}.expand_conv'
_efficientnet = table(
  ('stem_conv', 'features.0.0'),
  ('stem_norm', 'features.0.1'),
  (rf'{UNIT}\.expand_conv', f'{_MB}.0.0'),
  (rf'{UNIT}\.expand_norm', f'{_MB}.0.1'),
  (rf'{UNIT}\.depthwise_conv', f'{_MB}.1.0', _WIDE),
  (rf'{UNIT}\.depthwise_norm', f'{_MB}.1.1', _WIDE),
  (rf'{UNIT}\.squeeze_excitation\.squeeze', f'{_MB}.2.fc1', _WIDE),
  (rf'{UNIT}\.squeeze_excitation\.excite', f'{_MB}.2.fc2', _WIDE),
  (rf'{UNIT}\.project_conv', f'{_MB}.3.0', _WIDE),
  (rf'{UNIT}\.project_norm', f'{_MB}.3.1', _WIDE),
  (rf'{UNIT}\.depthwise_conv', f'{_MB}.0.0'),
  (rf'{UNIT}\.depthwise_norm', f'{_MB}.0.1'),
  (rf'{UNIT}\.squeeze_excitation\.squeeze', f'{_MB}.1.fc1'),
  (rf'{UNIT}\.squeeze_excitation\.excite', f'{_MB}.1.fc2'),
  (rf'{UNIT}\.project_conv', f'{_MB}.2.0'),
  (rf'{UNIT}\.project_norm', f'{_MB}.2.1'),
  ('head_conv', 'features.8.0'),
  ('head_norm', 'features.8.1'),
  ('head', 'classifier.1'),
)

_RENAMES: dict[str, Rename] = {
  'alexnet': _alexnet,
  'vgg': _vgg,
  'resnet': _resnet,
  'resnext': _resnet,
  'densenet': _densenet,
  'googlenet': _googlenet,
  'efficientnet': _efficientnet,
}
_KUANGLIU: dict[str, Rename] = {
  'vgg': _vgg,
  'resnet': kuangliu_resnet,
}
FAMILIES = {family: Rules(rename, POINTWISE) for family, rename in _RENAMES.items()}
WEIAICUNZAI = {'resnet': Rules(_weiaicunzai_resnet)}
KUANGLIU = {family: Rules(rename, KUANGLIU_POINTWISE) for family, rename in _KUANGLIU.items()}
