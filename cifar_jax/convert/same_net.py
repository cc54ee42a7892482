"""Whether a public implementation's net computes what ours with the same names and shapes does.

A state_dict holds arrays alone. Where an operation without weights differs, such as the place of a
ReLU, an implementation reads the arrays of our net without an error and computes another one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn

from cifar_jax.models.layers import ResidualNet


class Difference(NamedTuple):
  """An operation of ours that nets of public implementations have not, or have in another place.

  Attributes:
    what: what our net does.
    has: whether a model does it.
    families: the families that it is asked of; empty for all.
    rules: the implementations; empty for all.
  """

  what: str
  has: Callable[[Any], bool]
  families: tuple[str, ...] = ()
  rules: tuple[str, ...] = ()


# Without weights, all of them. `benchmarks/torch_parity.py` compares nets that are the same, and
# changes those of pytorchcv where a line here says that they differ.
DIFFERENCES = (
  Difference(
    'evaluated, it multiplies each branch by the probability that it survived in training '
    '(model.survival_probability)',
    lambda model: isinstance(model, ResidualNet) and model.survival_probability != 1,
  ),
  Difference(
    'it has local response normalisation', lambda model: model.local_response_norm, ('alexnet',)
  ),
  Difference(
    'it has local response normalisation',
    lambda model: model.configuration.endswith('_lrn'),
    ('vgg',),
  ),
  Difference(
    'its shortcuts are not projections (model.shortcut)',
    lambda model: not model.shortcut.startswith('project'),
    ('resnet', 'preact_resnet'),
    ('pytorchcv', 'torchvision', 'kuangliu', 'weiaicunzai'),
  ),
  Difference(
    'its shortcuts are not option A, or it has other layers than three stages of basic blocks with '
    '16, 32 and 64 channels',
    lambda model: (
      (model.shortcut, model.base_width, model.bottleneck, model.stem, len(model.stage_sizes))
      != ('pad', 16, False, 'cifar', 3)
      or bool(model.squeeze_excitation or model.hidden_features)
    ),
    ('resnet',),
    ('akamaster',),
  ),
  Difference(
    'its order is not that of full pre-activation (model.order)',
    lambda model: model.order != 'e',
    ('preact_resnet',),
  ),
  Difference(
    'its first block activates the input of both paths, and a bottleneck has its stride in the '
    'first convolution',
    lambda _: True,
    ('preact_resnet',),
    ('pytorchcv',),
  ),
  Difference(
    'its blocks begin with a ReLU (model.first_relu)',
    lambda model: model.first_relu,
    ('pyramidnet',),
  ),
  Difference(
    'its ReLUs are where the author of the paper has them', lambda _: True, ('shake_shake',)
  ),
  Difference(
    'its first convolutions have the strides for CIFAR',
    lambda model: not model.imagenet,
    ('efficientnet',),
  ),
  Difference(
    'it pads as TensorFlow does, and its norms have an epsilon of 0.001',
    lambda _: True,
    ('efficientnet',),
    ('torchvision',),
  ),
)


def difference(model: nn.Module, rules: str) -> str:
  """What a model of ours does otherwise than the nets with the names of `rules`; '' if nothing.

  Args:
    model: a module from `models.create`.
    rules: one of `config.initialization.RULES`.
  """
  if rules == 'own':
    return ''
  found = (
    line.what
    for line in DIFFERENCES
    if (not line.families or family(model) in line.families)
    and (not line.rules or rules in line.rules)
    and line.has(model)
  )
  return '; '.join(found)


def family(model: nn.Module) -> str:
  """The file of this package that defines the class of a model; '' for a user's own class."""
  package, _, name = type(model).__module__.rpartition('.')
  return name if package == 'cifar_jax.models' else ''
