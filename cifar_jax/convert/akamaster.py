"""The names and channels of akamaster/pytorch_resnet_cifar10: CIFAR ResNets with option A.

Where a stage doubles its channels, option A fills the new ones with zeros. Ours come after the old
channels; that repository puts half of them before. Both compute the same net with its channels in
another order, so the arrays are reordered.
"""

import re

from cifar_jax.convert.names import UNIT, Channels, Rules
from cifar_jax.convert.torchvision import kuangliu_resnet

NUM_STAGES = 3  # of channels 16, 32 and 64


def channels(stage: int) -> tuple[int, ...]:
  """Where their stage has each channel of ours.

  Args:
    stage: counted from 1.

  Returns:
    The index in their nets of each of our 16 * 2^(stage - 1) channels.
  """
  if stage == 1:
    return tuple(range(16))
  before = channels(stage - 1)
  zeros, width = len(before) // 2, 2 * len(before)  # zeros on each side
  return (*(i + zeros for i in before), *range(zeros), *range(width - zeros, width))


def channels_of(layer: str) -> Channels:
  """Where their nets have the channels that a layer of ours reads and makes.

  Within a branch, between its two convolutions, the order is the same.

  Args:
    layer: its dotted name, such as `stage2_block1.conv1`.
  """
  if layer == 'head':
    return Channels(inputs=channels(NUM_STAGES))
  match = re.fullmatch(rf'{UNIT}\.(\w+)', layer)
  if not match:
    return Channels()
  stage, first = int(match[1]), match[2] == '1'
  if match[3] == 'conv1':
    return Channels(inputs=channels(max(1, stage - 1) if first else stage))
  return Channels(outputs=channels(stage)) if match[3] in ('conv2', 'norm2') else Channels()


FAMILIES = {'resnet': Rules(kuangliu_resnet, channels_of=channels_of)}
