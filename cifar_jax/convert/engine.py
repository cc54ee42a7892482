"""Maps state_dicts to variables and back, for every model and all rules."""

import logging
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.traverse_util
import jax.numpy as jnp
import numpy as np

from cifar_jax.config.initialization import RULES
from cifar_jax.convert import files, layouts, report, same_net, stages
from cifar_jax.convert.implementations import IMPLEMENTATIONS
from cifar_jax.convert.names import COUNTER, LEAVES, Rules
from cifar_jax.errors import InputError

logger = logging.getLogger(__name__)

StateDict = Mapping[str, np.ndarray]
Path = tuple[str, ...]  # collection, layers, leaf

# Of nets that were trained in parallel, compiled, or as a part of a larger module.
PREFIXES = ('module.', '_orig_mod.', 'model.')
OUR_NAMES = Rules(lambda names: {name: name for name in names})


class Target(NamedTuple):
  """The leaf of the variables that an array of a state_dict belongs to.

  Attributes:
    path: of the leaf.
    layout: of the array on both sides.
  """

  path: Path
  layout: layouts.Layout


def to_variables(
  state_dict: StateDict | str | os.PathLike[str],
  model: nn.Module,
  rules: str | Rules = 'own',
  *,
  without_head: bool = False,
) -> dict[str, Any]:
  """Returns the variables of a model from a Torch state_dict.

  Args:
    state_dict: arrays of any float dtype by name, or a file of them, safetensors or a checkpoint of
      PyTorch (`torch_file.py`). The norms' counters of batches are ignored, and so are the
      `PREFIXES` that all names have.
    model: a module from `models.create`, with the fields of the net that was trained.
    rules: one of `config.initialization.RULES`, or the rules of one family.
    without_head: whether to leave out the layers called `head`, which may have another number of
      classes in the state_dict.

  Returns:
    `params` and `batch_stats`, as float32 NumPy arrays. It is a warning if nets with the names of
    the rules compute something else than the model (`same_net.py`).

  Raises:
    InputError: a name on either side has no partner (`compare` has the full lists), a shape
      differs, an array holds no floats or some that are not finite, a variance is negative, there
      are no such rules for the model, or the file cannot be read.
  """
  arrays = _read_arrays(state_dict)
  shapes, targets = _targets(model, rules)
  if without_head:
    heads = {name for name, target in targets.items() if is_head(target.path)}
    arrays = {name: arrays[name] for name in arrays if name not in heads}
    targets = {name: targets[name] for name in targets if name not in heads}
    shapes = remove_heads(shapes)
  result = _compare(arrays, targets)
  if not result.complete:
    raise InputError(f'the state_dict is not of this model: {result}')
  if isinstance(rules, str) and (what := same_net.difference(model, rules)):
    logger.warning(
      'the nets of %s compute something else with these weights than this net: %s', rules, what
    )
  flat = {}
  for name, target in targets.items():
    values = checked(f'{name} of the state_dict', arrays[name], target.path)
    flat[target.path] = target.layout.from_torch(values)
  return stages.stack(flax.traverse_util.unflatten_dict(flat), shapes)


def is_head(path: Path) -> bool:
  """Whether a leaf belongs to a last layer, which depends on the number of classes."""
  return 'head' in path[1:-1]


def remove_heads(variables: Mapping[str, Any]) -> dict[str, Any]:
  """The variables of a model, or their shapes, without its last layers."""
  flat = flax.traverse_util.flatten_dict(variables)
  kept = {path: leaf for path, leaf in flat.items() if not is_head(path)}
  return flax.traverse_util.unflatten_dict(kept)


def checked(name: str, array: np.ndarray, path: Path) -> np.ndarray:
  """Returns an array `[...]` as float32, if a trained net can have it.

  Args:
    name: of the array, for messages.
    array: of any dtype.
    path: of the leaf that it is for.

  Raises:
    InputError: it holds no floats or some that are not finite, or is a variance with negative ones.
  """
  if not jnp.issubdtype(array.dtype, jnp.floating):
    raise InputError(f'{name} is {array.dtype}, not a float')
  values = array.astype(np.float32)
  if not np.isfinite(values).all():
    raise InputError(f'{name} has values that are not finite')
  if path[-1] == 'var' and values.min(initial=0) < 0:
    raise InputError(f'{name} is a variance, and has negative values')
  return values


def to_state_dict(
  variables: Mapping[str, Any], model: nn.Module, rules: str | Rules = 'own'
) -> dict[str, np.ndarray]:
  """Returns the Torch state_dict of a model's variables; the inverse of `to_variables`.

  Args:
    variables: `params` and `batch_stats`.
    model: the module of these variables.
    rules: one of `config.initialization.RULES`, or the names alone that one family has.

  Returns:
    Contiguous float32 arrays by name, of Torch's shapes (a kernel `[outputs, inputs, height,
    width]`), and an int64 0 of shape `[]` as each norm's counter of batches.

  Raises:
    InputError: the variables are not the model's, there are no such rules for it, or no net with
      the names of the rules computes what the model does (`same_net.py`).
  """
  if isinstance(rules, str) and (what := same_net.difference(model, rules)):
    raise InputError(
      f'no net with the names of {rules} computes what this one does: {what}; give --rules own'
    )
  _, targets = _targets(model, rules)
  flat = _flatten(variables)
  shapes = {'/'.join(path): np.shape(leaf) for path, leaf in flat.items()}
  expected = {'/'.join(target.path): target.layout.shape for target in targets.values()}
  comparison = report.match(shapes, expected)
  if not comparison.complete:
    raise InputError(f'the variables are not of this model: {comparison}')
  state_dict = {}
  for name, target in targets.items():
    array = np.asarray(flat[target.path], np.float32)
    state_dict[name] = target.layout.to_torch(array)
    if target.path[-1] == 'var':
      state_dict[f'{name.rpartition(".")[0]}.{COUNTER}'] = np.zeros((), np.int64)
  return state_dict


def compare(
  state_dict: StateDict | str | os.PathLike[str], model: nn.Module, rules: str | Rules = 'own'
) -> report.Report:
  """Reports in full which arrays of a state_dict match a model, and which do not.

  Args:
    state_dict: arrays by name, or a file of them, as for `to_variables`.
    model: a module from `models.create`.
    rules: one of `config.initialization.RULES`, or the rules of one family.

  Raises:
    InputError: there are no such rules for the model, or the file cannot be read.
  """
  return _compare(_read_arrays(state_dict), _targets(model, rules)[1])


def _read_arrays(state_dict: StateDict | str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Returns the arrays by name, without counters and without the prefixes that all names have."""
  arrays = state_dict if isinstance(state_dict, Mapping) else files.read(state_dict)
  arrays = {name: arrays[name] for name in arrays if name.rpartition('.')[2] != COUNTER}

  def shared_prefix() -> str:
    shared = (prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in arrays))
    return next(shared, '') if arrays else ''

  while prefix := shared_prefix():
    arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
  return arrays


def _compare(arrays: StateDict, targets: Mapping[str, Target]) -> report.Report:
  given = {name: tuple(array.shape) for name, array in arrays.items()}
  return report.match(given, {name: target.layout.torch_shape for name, target in targets.items()})


def _flatten(variables: Mapping[str, Any]) -> dict[Path, Any]:
  return flax.traverse_util.flatten_dict(stages.unstack(variables))


def _targets(model: nn.Module, rules: str | Rules) -> tuple[Any, dict[str, Target]]:
  """Returns the shapes of a model's variables, and the target of each Torch name among them."""
  rename, pointwise, channels_of = rules if isinstance(rules, Rules) else _find_rules(model, rules)
  shapes, flattened_maps = layouts.trace(model)
  flat = _flatten(shapes)
  modules = list(dict.fromkeys('.'.join(path[1:-1]) for path in flat))
  renamed = rename(modules)
  targets: dict[str, Target] = {}
  for path, leaf in flat.items():
    module = '.'.join(path[1:-1])
    is_pointwise = len(leaf.shape) == 2 and bool(re.fullmatch(pointwise, renamed[module]))
    name = f'{renamed[module]}.{LEAVES.get(path[-1], path[-1])}'
    if name in targets:
      other = '.'.join(targets[name].path[1:-1])
      raise InputError(f'by these rules both {other} and {module} are {name}')
    channels = channels_of(module)
    layout = layouts.Layout(leaf.shape, flattened_maps.get(module), is_pointwise, *channels)
    targets[name] = Target(path, layout)
  return shapes, targets


def _find_rules(model: nn.Module, name: str) -> Rules:
  """Returns the rules of a name for the model's family, which is the file that defines its class.

  Raises:
    InputError: there are no such rules, or none for the family.
  """
  if name == 'own':
    return OUR_NAMES
  if name not in IMPLEMENTATIONS:
    raise InputError(f'there are no rules {name!r}; there are {", ".join(RULES)}')
  family, families = same_net.family(model), IMPLEMENTATIONS[name]
  if family not in families:
    raise InputError(
      f'{name} has no rules for {family or "own nets"}; it has them for {", ".join(families)}'
    )
  return families[family]
