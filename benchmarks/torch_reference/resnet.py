"""ResNets with the activation after the sum, plain nets, and ResNeXts."""

from torch import nn

from benchmarks.torch_reference.layers import (
  GlobalPool,
  PaddedSkip,
  ResidualBlock,
  SqueezeExcitation,
  conv,
  pool_and_classify,
  relu,
  sequence,
  units,
)


def stem(width: int) -> dict[str, nn.Module]:
  """Returns the first layers of the nets for CIFAR."""
  return {'stem_conv': conv(3, width), 'stem_norm': nn.BatchNorm2d(width), 'stem_relu': relu()}


def basic_body(inputs: int, width: int, stride: int) -> dict[str, nn.Module]:
  """Returns the two 3x3 convolutions of a basic block."""
  return {
    'conv1': conv(inputs, width, stride=stride),
    'norm1': nn.BatchNorm2d(width),
    'relu1': relu(),
    'conv2': conv(width, width),
    'norm2': nn.BatchNorm2d(width),
  }


def bottleneck_body(
  inputs: int, inner: int, outer: int, stride: int, groups: int
) -> dict[str, nn.Module]:
  """Returns the 1x1, 3x3 and 1x1 convolutions of fb.resnet.torch and ResNeXt (figure 3c)."""
  return {
    'conv1': conv(inputs, inner, 1),
    'norm1': nn.BatchNorm2d(inner),
    'relu1': relu(),
    'conv2': conv(inner, inner, stride=stride, groups=groups),
    'norm2': nn.BatchNorm2d(inner),
    'relu2': relu(),
    'conv3': conv(inner, outer, 1),
    'norm3': nn.BatchNorm2d(outer),
  }


def projection(inputs: int, width: int, stride: int) -> nn.Module:
  """Returns option B of He et al. 2015: a 1x1 convolution and a norm."""
  return sequence(
    {'shortcut_conv': conv(inputs, width, 1, stride), 'shortcut_norm': nn.BatchNorm2d(width)}
  )


def make_skip(shortcut: str, inputs: int, width: int, stride: int) -> nn.Module | None:
  """Returns the shortcut of a block.

  Args:
    shortcut: where the width changes: `pad` (option A of He et al. 2015), `pool_pad` (with average
      pooling, as ResidualDrop.lua) or `project`.
    inputs: number of channels before the block.
    width: number of channels after it.
    stride: of the block.
  """
  if inputs == width:
    return None
  if shortcut == 'project':
    return projection(inputs, width, stride)
  return PaddedSkip(width, stride, pool=shortcut == 'pool_pad')


def resnet(
  depth: int, shortcut: str = 'pad', last_survival: float = 1.0, num_classes: int = 10
) -> nn.Module:
  """Returns a net of 6n + 2 layers: He et al. 2015, section 4.2.

  Args:
    depth: number of layers.
    shortcut: of `make_skip`.
    last_survival: probability that the last block is there in stochastic depth (Huang et al. 2016,
      ResidualDrop.lua, with linear decay); in evaluation a factor.
    num_classes: number of logits.
  """
  layers, inputs, num_blocks = stem(16), 16, (depth - 2) // 6
  for index, (name, stage, stride) in enumerate(units(num_blocks), 1):
    width = 16 * 2**stage
    layers[name] = ResidualBlock(
      sequence(basic_body(inputs, width, stride)),
      make_skip(shortcut, inputs, width, stride),
      end=relu(),
      scale=1 - index / (3 * num_blocks) * (1 - last_survival),
    )
    inputs = width
  return sequence(layers | pool_and_classify(inputs, num_classes))


def plain_net(depth: int) -> nn.Module:
  """Returns a net of 6n + 2 layers without shortcuts: He et al. 2015, section 4.2."""
  layers, inputs = stem(16), 16
  for name, stage, stride in units((depth - 2) // 6):
    width = 16 * 2**stage
    layers[name] = sequence(basic_body(inputs, width, stride) | {'relu2': relu()})
    inputs = width
  return sequence(layers | pool_and_classify(inputs))


def bottleneck_net(
  num_blocks: int, stem_width: int, inner: int, outer: int, groups: int = 1, reduction: int = 0
) -> nn.Module:
  """Returns a net of three stages of bottlenecks, projected where the width changes.

  Args:
    num_blocks: number of blocks in each stage.
    stem_width: number of channels of the stem.
    inner: number of channels inside the blocks of the first stage.
    outer: number of channels after them.
    groups: of the 3x3 convolutions.
    reduction: of squeeze-and-excitation at the end of each branch; 0 for none.
  """
  layers, inputs = stem(stem_width), stem_width
  for name, stage, stride in units(num_blocks):
    width = outer * 2**stage
    body = bottleneck_body(inputs, inner * 2**stage, width, stride, groups)
    if reduction:
      body['squeeze_excitation'] = SqueezeExcitation(width, width // reduction, relu())
    skip = make_skip('project', inputs, width, stride)
    layers[name] = ResidualBlock(sequence(body), skip, end=relu())
    inputs = width
  return sequence(layers | pool_and_classify(inputs))


def resnet_bottleneck(depth: int) -> nn.Module:
  """Returns the post-activation net with bottlenecks of He et al. 2016, of 9n + 2 layers."""
  return bottleneck_net((depth - 2) // 9, stem_width=16, inner=16, outer=64)


def resnext(depth: int, groups: int, width: int, reduction: int = 0) -> nn.Module:
  """Returns a net of 9n + 2 layers: Xie et al. 2017, section 5.4.

  Args:
    depth: number of layers.
    groups: the paper's cardinality.
    width: number of channels of a group in the first stage.
    reduction: of squeeze-and-excitation; 0 for none.
  """
  return bottleneck_net((depth - 2) // 9, 64, groups * width, 256, groups, reduction)


def tiny_imagenet_resnet(homework: bool) -> nn.Module:
  """Returns four stages of one basic block each, of 8 to 64 channels, with a stem for ImageNet.

  Args:
    homework: whether stem and head are those of the homework (docs/gallery) instead of
      torchvision's: padding 5, a bias, pooling of 2x2 pixels, and a linear layer of 128 units.
  """
  layers: dict[str, nn.Module] = {
    'stem_conv': nn.Conv2d(3, 8, 7, 2, 5 if homework else 3, bias=homework),
    'stem_norm': nn.BatchNorm2d(8),
    'stem_relu': relu(),
    'stem_pool': nn.MaxPool2d(2) if homework else nn.MaxPool2d(3, 2, 1),
  }
  inputs = 8
  for stage in range(4):
    width, stride = 8 * 2**stage, 2 if stage else 1
    layers[f'stage{stage + 1}_block1'] = ResidualBlock(
      sequence(basic_body(inputs, width, stride)),
      make_skip('project', inputs, width, stride),
      end=relu(),
    )
    inputs = width
  if homework:
    layers |= {'pool': GlobalPool(), 'hidden': nn.Linear(inputs, 128)}
    return sequence(layers | {'head': nn.Linear(128, 10)})
  return sequence(layers | pool_and_classify(inputs))
