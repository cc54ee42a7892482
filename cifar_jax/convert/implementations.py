"""The public implementations of PyTorch whose names of layers are known."""

from collections.abc import Mapping

from cifar_jax.convert import akamaster, pytorchcv, torchvision
from cifar_jax.convert.names import Rules

IMPLEMENTATIONS: dict[str, Mapping[str, Rules]] = {
  'pytorchcv': pytorchcv.FAMILIES,
  'torchvision': torchvision.FAMILIES,
  'kuangliu': torchvision.KUANGLIU,
  'weiaicunzai': torchvision.WEIAICUNZAI,
  'akamaster': akamaster.FAMILIES,
}
