"""The registry: from a model's name, as the papers write it, to its Flax module."""

import difflib
import importlib
import inspect
import math
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.config.command_line import nearest
from cifar_jax.config.section import check_size, shortened
from cifar_jax.errors import InputError
from cifar_jax.models import FAMILY_NAMES, classifier, families, layers, own_module
from cifar_jax.models.families import Family
from cifar_jax.models.published_errors import Published

for _name in FAMILY_NAMES:
  importlib.import_module(f'cifar_jax.models.{_name}')
FAMILIES: dict[str, Family] = {name: families.of_module(name) for name in FAMILY_NAMES}
NAMES: tuple[str, ...] = tuple(name for family in FAMILIES.values() for name in family.names)
_MOST_DIGITS = 6  # of a number in a name, such as a depth
_LARGEST_FIELD = 10**6  # such as a width; the sizes of all arrays are far below 2**63 then
_PLACES = {'stem': 0, 'final': 2, 'head': 3}  # of parts of a net; the others are between
_CHANGE_NO_RESULT = ('module', 'dtype', 'remat')  # of the fields of a configuration's model
DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def create(
  name: str, num_classes: int = 10, dtype: str = 'float32', module: str = '', **fields: Any
) -> nn.Module:
  """Makes the module of a name, a `classifier.Classifier`.

  Args:
    name: one of `NAMES`, any name within a family's grammar, or one of a user's own family.
    num_classes: number of classes.
    dtype: dtype of the activations, `float32` or `bfloat16`; parameters, statistics and logits are
      float32 in both.
    module: the module of an own family, which is run if no family with this name is registered: a
      file or a dotted name (`own_module.load`).
    **fields: the family's fields, such as `dropout` or `survival_probability`.

  Raises:
    InputError: an unknown name, field or dtype, or an impossible value.
  """
  layers.check_one_of('dtype', dtype, DTYPES)
  if num_classes < 1:
    raise InputError(f'a model needs at least one class, not {num_classes}')
  if module and not is_loaded(name, module):
    own_module.load(module)
    if _find(name) and not is_loaded(name, module):
      raise InputError(
        f'this process has imported another {name} than that of the module {module}, or an earlier '
        'state of it: use another process'
      )
  found = _find(name)
  if not found:
    raise InputError(f'unknown model {name!r}; {_nearest(name)}')
  family, match = found
  _check_numbers(name, match)
  _check_fields(name, family, match, fields)
  if 'dtype' in inspect.signature(family.model_class).parameters:
    fields['dtype'] = DTYPES[dtype]
  elif dtype != 'float32':
    raise InputError(
      f'model.dtype is {dtype}, but {family.model_class.__name__} has no field dtype: it computes '
      'in float32'
    )
  return family.make(**match.groupdict(), num_classes=num_classes, **fields)


def _find(name: str) -> tuple[Family, re.Match] | None:
  """The family of a name, and its match; raises InputError where a name is of two families."""
  of_package, own = (
    [(family, match) for family in group if (match := re.fullmatch(family.pattern, name))]
    for group in (FAMILIES.values(), families.own())
  )
  if of_package and own:
    origin = own[0][0].module or 'a family of your own'
    raise InputError(
      f'{name} is a name of cifar_jax and of {origin}: register the latter under another name'
    )
  return next(iter(of_package + own), None)


def own_family(name: str) -> Family | None:
  """The registered family of a name, if it is a user's own; None for other names."""
  found = _find(name)
  return found[0] if found and found[0] not in FAMILIES.values() else None


def module_of(name: str) -> str:
  """The module of an own family, as `families.Family.module`; '' for other names."""
  family = own_family(name)
  return family.module if family else ''


def is_loaded(name: str, module: str = '') -> bool:
  """Whether a name is of a family that is registered, by a module if one is given."""
  found = _find(name)
  if found is None:
    return False
  return not module or found[0] in FAMILIES.values() or own_module.is_of(found[0], module)


def _nearest(name: str) -> str:
  """The nearest names and their families' grammars; all grammars where no name is near."""
  everything = [*FAMILIES.values(), *families.own()]
  names = [known for family in everything for known in family.names]
  near = difflib.get_close_matches(name, names, n=3)
  grammars = '; '.join(
    family.grammar for family in everything if not near or set(near) & set(family.names)
  )
  return f'nearest: {", ".join(near)} (grammar: {grammars})' if near else f'names are {grammars}'


def _check_numbers(name: str, match: re.Match) -> None:
  """Raises InputError for a number in a name that no net can be built with."""
  for part in match.groups():
    if any(len(digits) > _MOST_DIGITS for digits in re.findall(r'\d+', part or '')):
      raise InputError(
        f'unknown model {shortened(name)}: a number has more than {_MOST_DIGITS} digits'
      )


def _check_fields(name: str, family: Family, match: re.Match, fields: dict[str, Any]) -> None:
  parameters = inspect.signature(family.model_class).parameters
  known = set(parameters) - {'parent', 'name', 'num_classes', 'dtype'}
  known -= set(match.groupdict())
  for field, value in fields.items():
    if field not in known:
      allowed = ', '.join(sorted(known)) or 'none'
      hint = nearest(field, [*sorted(known), 'name', 'dtype', 'module'])
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
  with layers.plain_forms(), layers.shapes_only():
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
  return next(key for key, family in FAMILIES.items() if name in family.names)


def published(name: str) -> Published | None:
  """The published errors of a model; None for most, and for names that are not registered."""
  for family in (*FAMILIES.values(), *families.own()):
    if name in family.published:
      return family.published[name]
  return None


def published_error(name: str, dataset: str, **fields: Any) -> dict[str, Any] | None:
  """`error_percent` and `source` of a model's published error, for a report; None if unknown.

  Args:
    name: any model's name.
    dataset: any data set's name.
    **fields: of the model, as for `create`. Those that change results must be as published.
  """
  known = published(name)
  error = known.error(dataset) if known else None
  if known is None or error is None:
    return None
  fields = {field: value for field, value in fields.items() if field not in _CHANGE_NO_RESULT}
  is_published = create(name, **fields) == create(name, **known.fields)
  return {'error_percent': error, 'source': known.source} if is_published else None
