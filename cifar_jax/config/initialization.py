"""The section `init`: the weights that a run begins with, and which of them stay as they are."""

import dataclasses
from typing import ClassVar

from cifar_jax.config.section import Section, setting
from cifar_jax.errors import InputError

# The names that the layers have in a file: `own`, or those of a public implementation in PyTorch.
RULES = ('own', 'pytorchcv', 'torchvision', 'kuangliu', 'weiaicunzai', 'akamaster')
CHECKPOINT_CHOICES = ('last', 'best')  # best: the highest validation accuracy
HEADS = ('keep', 'new')


@dataclasses.dataclass(frozen=True)
class InitSettings(Section):
  """The section `init`.

  Attributes:
    source: what the run begins with: the workdir of another run, a safetensors file, such as
      `convert` writes, or a checkpoint of PyTorch (.pth, .pt); empty for random weights. A run that
      is resumed needs it no more, but refuses it if it has changed.
    checkpoint: the checkpoint of a run to begin with: `last`, or `best` by validation accuracy.
    rules: the names of the layers in a file: `own` (those of `convert`), or those of the public
      implementation that it comes from.
    head: whether the last layers, called `head`, are kept (`keep`) or drawn at random (`new`), as
      for another number of classes.
    frozen: names of modules, or their beginnings, such as `stem,stage1`, whose parameters never
      change: they have no gradient, no update and no weight decay. Their batch norms normalise as
      all others, and their running statistics follow the new images, so that a net is evaluated as
      it was trained.
  """

  NAME: ClassVar[str] = 'init'

  source: str = ''
  checkpoint: str = setting('last', one_of=CHECKPOINT_CHOICES)
  rules: str = setting('own', one_of=RULES)
  head: str = setting('keep', one_of=HEADS)
  frozen: str = ''

  @property
  def frozen_names(self) -> tuple[str, ...]:
    """The names in `frozen`."""
    return tuple(filter(None, (name.strip() for name in self.frozen.split(','))))

  def __post_init__(self) -> None:
    """Raises InputError for a value outside its limits, or if random weights are to be frozen."""
    super().__post_init__()
    if self.frozen_names and not self.source:
      raise InputError(
        f'init.frozen is {self.frozen!r}, but init.source is empty: name the weights'
      )
