"""Code as a user writes it: a module with a net, and cells of a notebook."""

# With what it imports.
NET = """
import flax.linen as nn
from cifar_jax import models
{imports}


@models.register('net_with_blocks')
class Net(nn.Module):
  num_classes: int = 10

  @nn.compact
  def __call__(self, images, *, train):
    return nn.Dense(self.num_classes, name='head')(images.mean(axis=(1, 2)))
"""

# What a cell defines that the net uses by the name SHIFT, and the same with another constant.
DEFINED = [
  'class SHIFT:\n  slope = {}',
  'class SHIFT:\n  class Inner:\n    slopes = [{}]',
  'class SHIFT(nn.Module):\n  slope: float = {}\n  def __call__(self, x):\n    return x',
  'class SHIFT:\n  slope = SLOPE\n  def call(self):\n    return 1\nSHIFT.slope = {}',
  'class Config:\n  def __init__(self, slope):\n    self.slope = slope\nSHIFT = Config({})',
  '@dataclasses.dataclass\nclass Config:\n  slope: float\nSHIFT = [Config({})]',
  '@dataclasses.dataclass\nclass SHIFT:\n  a: list = dataclasses.field(default_factory=lambda: {})',
  'class SHIFT(enum.IntEnum):\n  SLOPE = {}',
  'class Kind(enum.Enum):\n  SLOPE = {}\nSHIFT = Kind.SLOPE',
  'def make(slope):\n  return lambda x: slope * x\nSHIFT = make({})',
  'def SHIFT(x, slope={}):\n  return slope * x',
  'SHIFT = [{{"a": lambda x: {} * x}}]',
  'def f(x):\n  return {} * x\nSHIFT = jax.jit(f)',
  'def f(x):\n  return {} * x\nSHIFT = functools.partial(f)',
  '@jax.custom_jvp\ndef SHIFT(x):\n  return x\nSHIFT.defjvp(lambda x, y: (x, y * {}))',
  'class Block(nn.Module):\n  slope = {}\n  def f(self):\n    return 1\nSHIFT = nn.remat(Block)',
]  # fmt: skip
IMPORTS = 'import dataclasses, enum, functools, jax\nimport flax.linen as nn\n'
