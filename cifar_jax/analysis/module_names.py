"""The naming contract of `models/classifier.py`, as the analyses use it."""

import re


def norm_of(convolution: str) -> str:
  """The name of the batch normalisation that belongs to a convolution: `conv1` to `norm1`."""
  return convolution.replace('conv', 'norm')


def is_scanned(name: str) -> bool:
  """Whether a module is a scanned run of blocks, whose parameters are stacked."""
  return name.endswith('_rest')


def by_numbers(name: str) -> list[int]:
  """A sort key: the numbers in a name, so that `stage1_block10` comes after `stage1_block9`."""
  return [int(number) for number in re.findall(r'\d+', name)]
