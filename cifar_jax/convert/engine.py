"""State_dicts to variables and back, for every model and all rules."""

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.traverse_util
import jax.numpy as jnp
import numpy as np

import cifar_jax.convert.files as files
import cifar_jax.convert.layouts as layouts
import cifar_jax.convert.pytorchcv as pytorchcv
import cifar_jax.convert.report as report
import cifar_jax.convert.stages as stages
import cifar_jax.convert.torchvision as torchvision
from cifar_jax.convert.names import BATCHES, LEAVES, Rules
from cifar_jax.errors import InputError

StateDict = Mapping[str, np.ndarray]
Path = tuple[str, ...]  # collection, layers, leaf

OWN = Rules(lambda names: {name: name for name in names})
IMPLEMENTATIONS: dict[str, Mapping[str, Rules]] = {
  'pytorchcv': pytorchcv.FAMILIES,
  'torchvision': torchvision.FAMILIES,
  'kuangliu': torchvision.KUANGLIU,
}


class Place(NamedTuple):
  """Where an array is in the variables, and how it lies."""

  path: Path
  layout: layouts.Layout


def rule_names() -> tuple[str, ...]:
  """The rules that can be asked for by name."""
  return ('own', *IMPLEMENTATIONS)


def to_variables(
  state_dict: StateDict | str | os.PathLike[str], model: nn.Module, rules: str | Rules = 'own'
) -> dict[str, Any]:
  """A model's variables from a Torch state_dict.

  Args:
    state_dict: arrays of any float dtype by name, or a safetensors file of them. Norms' counters
      of batches are ignored, and so is the `module.` before each name of a net that was trained in
      parallel.
    model: a module that `models.create` gave, with the fields of the net that was trained.
    rules: one of `rule_names()`, or a family's own.

  Returns:
    `params` and `batch_stats`, float32 NumPy arrays.

  Raises:
    InputError: a name on either side has no partner, a shape differs or an array holds no floats;
      `compare` has the full lists. Or there are no such rules for the model, or no such file.
  """
  arrays = _arrays(state_dict)
  abstract, places = _places(model, rules)
  outcome = _compared(arrays, places)
  if not outcome.complete:
    raise InputError(f'the state_dict is not of this model: {outcome}')
  flat = {}
  for name, place in places.items():
    if not jnp.issubdtype(arrays[name].dtype, jnp.floating):
      raise InputError(f'{name} of the state_dict is {arrays[name].dtype}, not a float')
    flat[place.path] = place.layout.from_torch(arrays[name].astype(np.float32))
  return stages.stack(flax.traverse_util.unflatten_dict(flat), abstract)


def to_state_dict(
  variables: Mapping[str, Any], model: nn.Module, rules: str | Rules = 'own'
) -> dict[str, np.ndarray]:
  """The Torch state_dict of a model's variables; the inverse of `to_variables`.

  Args:
    variables: `params` and `batch_stats`.
    model: their module.
    rules: as for `to_variables`.

  Returns:
    Contiguous float32 arrays by name, of Torch's shapes (a kernel `[outputs, inputs, height,
    width]`), and an int64 0 of shape `[]` as each norm's counter of batches.

  Raises:
    InputError: the variables are not the model's, or there are no such rules for it.
  """
  _, places = _places(model, rules)
  flat = _flat(variables)
  shapes = {'/'.join(path): np.shape(leaf) for path, leaf in flat.items()}
  expected = {'/'.join(place.path): place.layout.shape for place in places.values()}
  outcome = report.match(shapes, expected)
  if not outcome.complete:
    raise InputError(f'the variables are not of this model: {outcome}')
  result = {}
  for name, place in places.items():
    array = np.asarray(flat[place.path], np.float32)
    result[name] = place.layout.to_torch(array)
    if place.path[-1] == 'var':
      result[f'{name.rpartition(".")[0]}.{BATCHES}'] = np.zeros((), np.int64)
  return result


def compare(
  state_dict: StateDict | str | os.PathLike[str], model: nn.Module, rules: str | Rules = 'own'
) -> report.Report:
  """What of a state_dict matches a model, and what does not, in full.

  Args:
    state_dict: as for `to_variables`.
    model: likewise.
    rules: likewise.

  Raises:
    InputError: there are no such rules for the model, or no such file.
  """
  return _compared(_arrays(state_dict), _places(model, rules)[1])


def _arrays(state_dict: StateDict | str | os.PathLike[str]) -> dict[str, np.ndarray]:
  arrays = state_dict if isinstance(state_dict, Mapping) else files.read(state_dict)
  parallel = bool(arrays) and all(name.startswith('module.') for name in arrays)
  return {
    name.removeprefix('module.') if parallel else name: array
    for name, array in arrays.items()
    if name.rpartition('.')[2] != BATCHES
  }


def _compared(arrays: StateDict, places: Mapping[str, Place]) -> report.Report:
  given = {name: tuple(array.shape) for name, array in arrays.items()}
  return report.match(given, {name: place.layout.torch_shape for name, place in places.items()})


def _flat(variables: Mapping[str, Any]) -> dict[Path, Any]:
  return flax.traverse_util.flatten_dict(stages.unstack(variables))


def _places(model: nn.Module, rules: str | Rules) -> tuple[Any, dict[str, Place]]:
  """The shapes of a model's variables, and by Torch name the place of each array among them."""
  rename, pointwise = rules if isinstance(rules, Rules) else _rules(model, rules)
  abstract, maps = layouts.trace(model)
  flat = _flat(abstract)
  modules = list(dict.fromkeys('.'.join(path[1:-1]) for path in flat))
  renamed = rename(modules)
  places: dict[str, Place] = {}
  for path, leaf in flat.items():
    module = '.'.join(path[1:-1])
    is_pointwise = len(leaf.shape) == 2 and bool(re.fullmatch(pointwise, renamed[module]))
    name = f'{renamed[module]}.{LEAVES.get(path[-1], path[-1])}'
    if name in places:
      other = '.'.join(places[name].path[1:-1])
      raise InputError(f'by these rules both {other} and {module} are {name}')
    places[name] = Place(path, layouts.Layout(leaf.shape, maps.get(module), is_pointwise))
  return abstract, places


def _rules(model: nn.Module, name: str) -> Rules:
  """The rules of that name for the model's family, the file that defines its class."""
  if name == 'own':
    return OWN
  if name not in IMPLEMENTATIONS:
    raise InputError(f'there are no rules {name!r}; there are {", ".join(rule_names())}')
  family = type(model).__module__.rpartition('.')[2]
  families = IMPLEMENTATIONS[name]
  if family not in families:
    raise InputError(f'{name} has no rules for {family}; it has them for {", ".join(families)}')
  return families[family]
