"""The reference nets whose logits the tests know, by the file of the logits."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from benchmarks.torch_reference import (
  alexnet_vgg,
  densenet,
  efficientnet,
  fractalnet,
  googlenet,
  preact_resnet,
  pyramidnet,
  resnet,
  shake_shake,
  speed_net,
)


class Reference(NamedTuple):
  """A net of a file.

  Attributes:
    make: makes the Torch net.
    entry: what the file says of the Flax model that is compared with it.
    image_size: height and width of the images.
  """

  make: Callable[[], nn.Module]
  entry: Mapping[str, Any] = {}
  image_size: int = 32


def vgg(stages: str, name: str, image_size: int = 32, **fields: Any) -> Reference:
  """Returns a VGG of `stages` such as `3 3 33 33 33`; `fields` are those of the Flax model."""
  return Reference(
    lambda: alexnet_vgg.vgg(
      stages.split(),
      local_response_norm='lrn' in name,
      multilayer=fields.get('head') == 'mlp',
      image_size=image_size,
    ),
    {'name': name, 'fields': fields, 'image_size': image_size},
    image_size,
  )


ALEXNET_VGG = {
  'alexnet': Reference(
    alexnet_vgg.alexnet_cifar, {'name': 'alexnet', 'fields': {}, 'image_size': 32}
  ),
  'alexnet local_response_norm': Reference(
    lambda: alexnet_vgg.alexnet_cifar(local_response_norm=True),
    {'name': 'alexnet', 'fields': {'local_response_norm': True}, 'image_size': 32},
  ),
  'alexnet_imagenet': Reference(
    alexnet_vgg.alexnet_imagenet,
    {'name': 'alexnet_imagenet', 'fields': {}, 'image_size': 63},
    image_size=63,
  ),
  'vgg11_lrn_bn': vgg('3 3 33 33 33', 'vgg11_lrn_bn'),
  'vgg16_c_bn': vgg('33 33 331 331 331', 'vgg16_c_bn'),
  # A last map of 2x2 pixels, so that the order in which it is flattened matters.
  'vgg13_bn head mlp': vgg('33 33 33 33 33', 'vgg13_bn', image_size=64, head='mlp'),
}

# Those with two blocks per stage have an identity shortcut in each stage.
RESIDUAL = {
  'resnet8 pad': Reference(lambda: resnet.resnet(8)),
  'resnet8 pool_pad': Reference(lambda: resnet.resnet(8, 'pool_pad')),
  'resnet8 project': Reference(lambda: resnet.resnet(8, 'project')),
  'resnet14 pool_pad survival 0.5': Reference(lambda: resnet.resnet(14, 'pool_pad', 0.5)),
  'plain14': Reference(lambda: resnet.plain_net(14)),
  'resnet20_bottleneck': Reference(lambda: resnet.resnet_bottleneck(20)),
  'resnext_20_4x2d': Reference(lambda: resnet.resnext(20, 4, 2)),
  'se_resnext_11_2x4d': Reference(lambda: resnet.resnext(11, 2, 4, reduction=16)),
  'resnet18_imagenet tiny': Reference(lambda: resnet.tiny_imagenet_resnet(homework=False)),
  'resnet18_homework tiny': Reference(lambda: resnet.tiny_imagenet_resnet(homework=True)),
  **{
    f'preact_resnet14_order_{order}': Reference(
      functools.partial(preact_resnet.ordered_resnet, 14, order)
    )
    for order in 'abcd'
  },
  'wrn_10_2_b131': Reference(lambda: preact_resnet.wide_resnet(10, 2, (1, 3, 1))),
  'preact_resnet8': Reference(lambda: preact_resnet.preact_resnet(8)),
  'preact_resnet14': Reference(lambda: preact_resnet.preact_resnet(14)),
  'preact_resnet11_bottleneck': Reference(lambda: preact_resnet.preact_resnet(11, bottleneck=True)),
  'wrn_10_2': Reference(lambda: preact_resnet.wide_resnet(10, 2)),
  'wrn_16_1': Reference(lambda: preact_resnet.wide_resnet(16, 1)),
  'pyramidnet8_a12': Reference(lambda: pyramidnet.pyramidnet(8, 12)),
  'pyramidnet14_a10': Reference(lambda: pyramidnet.pyramidnet(14, 10)),  # widths are rounded
  'pyramidnet11_a12_bottleneck': Reference(lambda: pyramidnet.pyramidnet(11, 12, bottleneck=True)),
  'shake_shake_26_2x4d': Reference(lambda: shake_shake.shake_shake(4)),
}

PYRAMIDNET = {
  'pyramidnet14_mul_4': Reference(
    lambda: pyramidnet.pyramidnet(14, 4, multiply=True), {'fields': {}}
  ),
  'pyramidnet11_mul_2.5_bottleneck': Reference(
    lambda: pyramidnet.pyramidnet(
      11, 2.5, multiply=True, bottleneck=True, first_relu=True, last_norm=False
    ),
    {'fields': {'first_relu': True, 'last_norm': False}},  # figure 6a
  ),
  'pyramidnet8_a9': Reference(
    lambda: pyramidnet.pyramidnet(8, 9, last_norm=False, shortcut='project'),
    {'fields': {'last_norm': False, 'shortcut': 'project'}},  # figure 6b
  ),
  'pyramidnet14_a9': Reference(
    lambda: pyramidnet.pyramidnet(14, 9, first_relu=True, shortcut='mixed'),
    {'fields': {'first_relu': True, 'shortcut': 'mixed'}},  # figure 6c
  ),
  'pyramidnet8_a6': Reference(
    lambda: pyramidnet.pyramidnet(8, 6, death_rate=0.5),
    {'fields': {'shake_drop': 'image', 'survival_probability': 0.5}},
  ),
}

FILES: dict[str, dict[str, Reference]] = {
  'alexnet_vgg_torch': ALEXNET_VGG,
  'densenet_torch': {
    'densenet_10_5': Reference(lambda: densenet.densenet(10, 5, bc=False)),
    'densenet_bc_16_5': Reference(lambda: densenet.densenet(16, 5, bc=True)),  # halves an odd width
  },
  'efficientnet_torch': {
    'efficientnet_b0': Reference(lambda: efficientnet.efficientnet(imagenet=False)),
    'efficientnet_b0_imagenet': Reference(lambda: efficientnet.efficientnet(imagenet=True)),
  },
  'fractalnet_torch': {
    'fractalnet20_w4 all': Reference(lambda: fractalnet.fractalnet(3, deepest_only=False)),
    'fractalnet20_w4 deepest': Reference(lambda: fractalnet.fractalnet(3, deepest_only=True)),
    'fractalnet40_w4 all': Reference(lambda: fractalnet.fractalnet(4, deepest_only=False)),
  },
  'googlenet_torch': {
    form: Reference(functools.partial(googlenet.googlenet, form)) for form in googlenet.KERNELS
  },
  'pyramidnet_torch': PYRAMIDNET,
  'shake_shake_torch': {
    'three branches': Reference(lambda: shake_shake.shake_shake(4, 8, num_branches=3)),
    'no shortcuts, one convolution a branch': Reference(
      lambda: shake_shake.shake_shake(4, 14, has_skip=False, num_convs=1)
    ),
    'no shortcuts, no norms': Reference(
      lambda: shake_shake.shake_shake(4, 8, has_skip=False, norms=False)
    ),
    'resnext': Reference(lambda: shake_shake.shake_shake_resnext(11, 2, 4)),
  },
  'speed_net_torch': {'speed_net_30_4_8': Reference(lambda: speed_net.speed_net((30, 4, 8)))},
  'torch_nets': RESIDUAL,
}
# What a file says of all its nets.
EXTRA: dict[str, dict[str, Any]] = {
  'efficientnet_torch': dict(zip(('width', 'depth'), efficientnet.NARROW, strict=True))
}
