"""The row of a model family in `tests/models/family_table.py`."""

import json
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import flax.linen as nn

from cifar_jax import models
from tests.support.paths import REFERENCE

# Parameters of one model: a pair for 10 and 100 classes; one number for 1000 classes (ImageNet
# forms), or for 10 where no source has a count for 100.
Count = int | tuple[int, int]
Constants = tuple[tuple[ModuleType, str, Any], ...]  # module, name and value


class Net(NamedTuple):
  """The arguments of `models.create`, and constants of modules that make the net smaller.

  Attributes:
    name: the model's name.
    fields: further arguments.
    constants: constants that a test replaces.
  """

  name: str
  fields: Mapping[str, Any] = MappingProxyType({})
  constants: Constants = ()

  def create(self, **more: Any) -> nn.Module:
    """Makes the net, with `more` arguments."""
    return models.create(self.name, **{**self.fields, **more})


class Reference(NamedTuple):
  """A net whose logits in Torch are stored in `tests/reference/<file>.json`, under `key`."""

  file: str
  key: str
  net: Net
  image_size: int = 32


class Training(NamedTuple):
  """A net that learns eight images by gradient descent.

  Attributes:
    net: the net.
    rate: learning rate.
    steps: number of steps.
    loss_ratio: upper bound of the mean loss of the last three steps over that of the first three.
    image_size: height and width of the images, in pixels.
    each_step: whether each step's gradient reaches every parameter; where paths are dropped, only
      all steps together do.
    zeros: name of the modules whose parameters start at zero.
  """

  net: Net
  rate: float = 0.1
  steps: int = 12
  loss_ratio: float = 0.9
  image_size: int = 8
  each_step: bool = True
  zeros: str | None = None


class Row(NamedTuple):
  """What must hold for a family.

  Attributes:
    counts: exact number of trainable parameters of every registered name.
    small: small nets, one for each kind of block.
    trainings: nets that learn.
    references: nets whose logits in Torch are stored.
    slow: registered names that take many seconds to trace; the family's test file computes their
      counts layer by layer.
  """

  counts: dict[str, Count]
  small: tuple[Net, ...]
  trainings: tuple[Training, ...]
  references: tuple[Reference, ...] = ()
  slow: tuple[str, ...] = ()


def stored(file: str) -> dict[str, Any]:
  """The nets of a file of references, by key."""
  return json.loads((REFERENCE / f'{file}.json').read_text())['nets']


def references(file: str, *keys: str, constants: Constants = ()) -> tuple[Reference, ...]:
  """References to a file that states each net's name and fields; by default the key is the name."""
  nets = stored(file)
  return tuple(
    Reference(
      file,
      key,
      Net(nets[key].get('name', key), nets[key].get('fields', {}), constants),
      nets[key].get('image_size', 32),
    )
    for key in keys
  )


def label(case: Net | Reference | Training) -> str:
  """The name of a case in pytest's report."""
  if isinstance(case, Reference):
    return f'{case.file}-{case.key}'
  net = case if isinstance(case, Net) else case.net
  return '-'.join([net.name, *(f'{field}={value}' for field, value in net.fields.items())])
