"""The registry: from a model's name, as the papers write it, to its Flax module."""

import difflib
import importlib
import inspect
import math
import re
from collections.abc import Callable
from typing import Any, Protocol, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.config.command_line import nearest
from cifar_jax.config.section import check_size, shortened
from cifar_jax.errors import InputError
from cifar_jax.models import FAMILY_NAMES, classifier, layers
from cifar_jax.models.published_errors import Published


class Family(Protocol):
  """The contents of a family's file.

  Attributes:
    GRAMMAR: form of the family's names, for a message.
    PATTERN: regular expression of a whole name; its groups are arguments of `from_name`.
    PUBLISHED: published errors by name.
  """

  GRAMMAR: str
  PATTERN: str
  PUBLISHED: dict[str, Published]

  @property
  def NAMES(self) -> tuple[str, ...]:  # noqa: N802 (a constant of the file)
    """The registered names, which commands list."""

  @property
  def from_name(self) -> Callable[..., nn.Module]:
    """Maps the groups of a matched name, and fields, to a model of the annotated class."""


FAMILIES: dict[str, Family] = {
  name: cast(Family, importlib.import_module(f'cifar_jax.models.{name}')) for name in FAMILY_NAMES
}
NAMES: tuple[str, ...] = tuple(name for family in FAMILIES.values() for name in family.NAMES)
_MOST_DIGITS = 6  # of a number in a name, such as a depth
_LARGEST_FIELD = 10**6  # such as a width; the sizes of all arrays are far below 2**63 then
_PLACES = {'stem': 0, 'final': 2, 'head': 3}  # of parts of a net; the others are between
DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def create(name: str, num_classes: int = 10, dtype: str = 'float32', **fields: Any) -> nn.Module:
  """Makes the module of a name, a `classifier.Classifier`.

  Args:
    name: one of `NAMES`, or any name within a family's grammar.
    num_classes: number of classes.
    dtype: dtype of the activations, `float32` or `bfloat16`; parameters, statistics and logits are
      float32 in both.
    **fields: the family's fields, such as `dropout` or `survival_probability`.

  Raises:
    InputError: an unknown name, field or dtype, or an impossible value.
  """
  layers.check_one_of('dtype', dtype, DTYPES)
  if num_classes < 1:
    raise InputError(f'a model needs at least one class, not {num_classes}')
  for family in FAMILIES.values():
    match = re.fullmatch(family.PATTERN, name)
    if match:
      _check_numbers(name, match)
      _check_fields(name, family, match, fields)
      return family.from_name(
        **match.groupdict(), num_classes=num_classes, dtype=DTYPES[dtype], **fields
      )
  raise InputError(f'unknown model {name!r}; {_nearest(name)}')


def _nearest(name: str) -> str:
  """The nearest names and their families' grammars; all grammars where no name is near."""
  near = difflib.get_close_matches(name, NAMES, n=3)
  families = [family for family in FAMILIES.values() if set(near) & set(family.NAMES)]
  grammars = '; '.join(family.GRAMMAR for family in families or FAMILIES.values())
  return f'nearest: {", ".join(near)} (grammar: {grammars})' if near else f'names are {grammars}'


def _check_numbers(name: str, match: re.Match) -> None:
  """Raises InputError for a number in a name that no net can be built with."""
  for part in match.groups():
    if any(len(digits) > _MOST_DIGITS for digits in re.findall(r'\d+', part or '')):
      raise InputError(
        f'unknown model {shortened(name)}: a number has more than {_MOST_DIGITS} digits'
      )


def _check_fields(name: str, family: Family, match: re.Match, fields: dict[str, Any]) -> None:
  module = inspect.signature(family.from_name).return_annotation
  parameters = inspect.signature(module).parameters
  known = set(parameters) - {'parent', 'name', 'num_classes', 'dtype'}
  known -= set(match.groupdict())
  for field, value in fields.items():
    if field not in known:
      allowed = ', '.join(sorted(known)) or 'none'
      hint = nearest(field, [*sorted(known), 'name', 'dtype'])
      raise InputError(f'model {name} has no field {field!r}{hint}; its fields are {allowed}')
    check_size(f'model.{field}', value, _LARGEST_FIELD)
    default = parameters[field].default
    if default in (None, inspect.Parameter.empty) or isinstance(value, type(default)):
      continue
    if not (isinstance(default, float) and type(value) is int):
      kind = type(default).__name__
      raise InputError(f'model.{field} is {value!r}; it must be of the type {kind}')


def abstract_variables(model: nn.Module, image_size: int | None = None) -> Any:
  """The shapes and dtypes of a model's variables; no variable is computed.

  Args:
    model: a module from `create`.
    image_size: height and width of the images, in pixels; by default those that the model is made
      for.
  """
  size = image_size or classifier.image_size(model)
  images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
  with layers.shapes_only():
    return jax.eval_shape(lambda images: model.init(jax.random.key(0), images, train=False), images)


def num_params(model: nn.Module) -> int:
  """The exact number of a model's trainable parameters; no parameter is computed."""
  return count(abstract_variables(model)['params'])


def count(params: Any) -> int:
  """The number of entries in a tree of arrays, or of shapes."""
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def count_by_part(params: Any) -> dict[str, int]:
  """The number of parameters by part of a net, such as `stem`, `stage1` and `head`.

  Args:
    params: the parameters of a net, or their shapes. The modules at the top whose names have the
      same beginning, up to an underscore, are a part.

  Returns:
    The parts from the images to the logits, as far as their names say.
  """
  parts: dict[str, int] = {}
  for name, module in params.items():
    part = name.partition('_')[0]
    parts[part] = parts.get(part, 0) + count(module)
  return dict(sorted(parts.items(), key=lambda item: (_PLACES.get(item[0], 1), item[0])))


def family_of(name: str) -> str:
  """The family of a registered name."""
  return next(family for family, module in FAMILIES.items() if name in module.NAMES)


def published(name: str) -> Published | None:
  """The published errors of a model; None for most, and for names that are not registered."""
  for family in FAMILIES.values():
    if name in family.PUBLISHED:
      return family.PUBLISHED[name]
  return None


def published_error(name: str, dataset: str) -> dict[str, Any] | None:
  """`error_percent` and `source` of a model's published error, for a report; None if unknown.

  Args:
    name: any model's name.
    dataset: any data set's name.
  """
  known = published(name)
  error = known.error(dataset) if known else None
  return {'error_percent': error, 'source': known.source} if known and error else None
