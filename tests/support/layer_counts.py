"""The numbers of trainable parameters of layers, and of nets layer by layer."""

from collections.abc import Sequence


def conv(size: int, inputs: int, outputs: int) -> int:
  """The parameters of a convolution without bias and groups."""
  return size**2 * inputs * outputs


def norm(channels: int) -> int:
  """The parameters of a batch normalisation."""
  return 2 * channels


def dense(inputs: int, outputs: int) -> int:
  """The parameters of a dense layer with biases."""
  return (inputs + 1) * outputs


def squeeze_excitation(channels: int, reduction: int = 16) -> int:
  """Hu et al. 2018, figure 3: two dense layers with biases."""
  return dense(channels, channels // reduction) + dense(channels // reduction, channels)


def wide_resnet(depth: int, k: int, kernels: Sequence[int] = (3, 3), reduction: int = 0) -> int:
  """Zagoruyko and Komodakis 2016, table 1, layer by layer; B(kernels) as in table 2."""
  total, inputs = conv(3, 3, 16), 16
  for width in (16 * k, 32 * k, 64 * k):
    for _ in range((depth - 4) // 6):
      widths = [inputs] + [width] * len(kernels)
      total += sum(
        norm(a) + conv(size, a, b) for size, a, b in zip(kernels, widths, widths[1:], strict=False)
      )
      total += conv(1, inputs, width) if inputs != width else 0
      total += squeeze_excitation(width, reduction) if reduction else 0
      inputs = width
  return total + norm(inputs) + dense(inputs, 10)


def resnet_of_four_stages(
  depth: int, bottleneck: bool, stem: int, head: int, plain: bool = False
) -> int:
  """He et al. 2015, table 1, layer by layer; `stem` and `head` are the counts of the net's ends."""
  total, inputs = stem, 64
  for stage, size in enumerate(STAGE_SIZES[depth]):
    width = 64 * 2**stage
    outputs = 4 * width if bottleneck else width
    for _ in range(size):
      if bottleneck:
        total += conv(1, inputs, width) + conv(3, width, width) + conv(1, width, outputs)
        total += 2 * norm(width) + norm(outputs)
      else:
        total += conv(3, inputs, width) + conv(3, width, width) + 2 * norm(width)
      if inputs != outputs and not plain:
        total += conv(1, inputs, outputs) + norm(outputs)
      inputs = outputs
  return total + head


STAGE_SIZES = {
  18: (2, 2, 2, 2),
  34: (3, 4, 6, 3),
  50: (3, 4, 6, 3),
  101: (3, 4, 23, 3),
  152: (3, 8, 36, 3),
}
CIFAR_STEM = conv(3, 3, 64) + norm(64)
IMAGENET_STEM = conv(7, 3, 64) + norm(64)
