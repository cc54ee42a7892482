"""The registry: a name, as the papers write it, to a Flax module.

`create('wrn_28_10', num_classes=100)` gives a module whose
`apply(variables, images, train=False)` is float32 logits `[batch, num_classes]`.
"""

import difflib
import inspect
import math
import re
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError
from cifar_jax.models import (
  alexnet,
  deformable,
  densenet,
  efficientnet,
  fractalnet,
  googlenet,
  initializers,
  preact_resnet,
  pyramidnet,
  resnet,
  resnext,
  shake_resnext,
  shake_shake,
  speed_net,
  vgg,
  wide_resnet,
)

FAMILIES: tuple[ModuleType, ...] = (
  alexnet,
  vgg,
  googlenet,
  resnet,
  preact_resnet,
  wide_resnet,
  resnext,
  densenet,
  fractalnet,
  pyramidnet,
  shake_shake,
  shake_resnext,
  deformable,
  efficientnet,
  speed_net,
)
NAMES: tuple[str, ...] = tuple(name for family in FAMILIES for name in family.NAMES)
DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def create(name: str, num_classes: int = 10, dtype: str = 'float32', **fields: Any) -> nn.Module:
  """The module of a model's name.

  Args:
    name: one of `NAMES`, or any name within a family's grammar.
    num_classes: size of the logits.
    dtype: of the activations, `float32` or `bfloat16`; parameters, statistics and logits are
      float32 in both.
    **fields: the family's own fields, such as `dropout` or `survival_probability`.

  Raises:
    InputError: an unknown name, field or dtype, or an impossible value.
  """
  if dtype not in DTYPES:
    raise InputError(f'model.dtype is {dtype!r}; it is one of {", ".join(DTYPES)}')
  if num_classes < 1:
    raise InputError(f'a model needs at least one class, not {num_classes}')
  for family in FAMILIES:
    match = re.fullmatch(family.PATTERN, name)
    if match:
      _check_fields(name, family, match, fields)
      return family.from_name(
        **match.groupdict(), num_classes=num_classes, dtype=DTYPES[dtype], **fields
      )
  raise InputError(f'unknown model {name!r}; {_nearest(name)}')


def _nearest(name: str) -> str:
  """The nearest names and their families' grammars; all grammars where nothing is near."""
  near = difflib.get_close_matches(name, NAMES, n=3)
  families = [family for family in FAMILIES if set(near) & set(family.NAMES)]
  grammars = '; '.join(family.GRAMMAR for family in families or FAMILIES)
  return f'nearest: {", ".join(near)} (grammar: {grammars})' if near else f'names are {grammars}'


def _check_fields(name: str, family: ModuleType, match: re.Match, fields: dict[str, Any]) -> None:
  module = inspect.signature(family.from_name).return_annotation
  known = set(inspect.signature(module).parameters) - {'parent', 'name', 'num_classes', 'dtype'}
  known -= set(match.groupdict())
  for field in fields:
    if field not in known:
      allowed = ', '.join(sorted(known)) or 'none'
      raise InputError(f'model {name} has no field {field!r}; its fields are {allowed}')


def abstract_variables(model: nn.Module, image_size: int | None = None) -> Any:
  """The shapes and dtypes of a model's variables, without making any of them.

  Args:
    model: a module that `create` gave.
    image_size: height and width of the images, in pixels; by default those that the model is made
      for, 32 where it does not say.
  """
  size = image_size or getattr(model, 'image_size', 32)
  images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
  with initializers.shapes_only():
    return jax.eval_shape(lambda images: model.init(jax.random.key(0), images, train=False), images)


def num_params(model: nn.Module) -> int:
  """The exact number of a model's trainable parameters; nothing is computed or allocated."""
  return count(abstract_variables(model)['params'])


def count(params: Any) -> int:
  """The number of entries in a tree of arrays, or of shapes."""
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
