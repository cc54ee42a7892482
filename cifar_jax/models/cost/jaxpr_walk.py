"""The walk through a traced computation that counts its operations and follows its activations."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from jax.extend import core

# Layers with weights between the images and a value; None for a value that is no activation.
Depth = int | None


class Walk(NamedTuple):
  """The result of a walk through some equations.

  Attributes:
    depths: depth of each of the equations' results.
    multiply_adds: those of the convolutions and dense layers among the equations.
    peak_bytes: the maximum that activations occupied beyond what they occupied before.
  """

  depths: list[Depth]
  multiply_adds: int
  peak_bytes: int


def walk(jaxpr: core.Jaxpr, depths: Sequence[Depth], dying: Sequence[bool] = ()) -> Walk:
  """Follows the activations through the equations of a jaxpr.

  Args:
    jaxpr: the traced computation.
    depths: depth of each argument.
    dying: whether each argument dies at its last use in this jaxpr; by default none does.
  """
  depth = dict(zip(jaxpr.invars, depths, strict=True))
  owned = {v for v, dies in zip(jaxpr.invars, dying, strict=False) if dies}
  equations, last_use = _needed_equations(jaxpr)
  live = peak = multiply_adds = 0
  for i, eqn in equations:
    inputs = _read(depth, eqn.invars)
    if _deepest(inputs) is None:
      continue
    ending = {v for v in _variables(eqn.invars) if v in owned and last_use[v] == i}
    step = _walk_equation(
      eqn, inputs, [isinstance(v, core.Var) and v in ending for v in eqn.invars]
    )
    results = [v for v, d in zip(eqn.outvars, step.depths, strict=True) if d is not None]
    multiply_adds += step.multiply_adds
    peak = max(peak, live + step.peak_bytes)
    live += num_bytes(v for v in results if v in last_use) - num_bytes(ending)
    depth.update(zip(eqn.outvars, step.depths, strict=True))
    owned.update(results)
  return Walk(_read(depth, jaxpr.outvars), multiply_adds, peak)


def _needed_equations(
  jaxpr: core.Jaxpr,
) -> tuple[list[tuple[int, core.JaxprEqn]], dict[core.Var, int]]:
  """The equations that the results depend on, with their indices; and each variable's last use.

  The last use of the results is after the last equation, by the caller.
  """
  last_use = dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
  equations = []
  for i, eqn in reversed(list(enumerate(jaxpr.eqns))):
    if any(v in last_use for v in eqn.outvars):
      equations.append((i, eqn))
      for v in _variables(eqn.invars):
        last_use.setdefault(v, i)
  return equations[::-1], last_use


def _variables(atoms: Iterable[core.Var | core.Literal]) -> list[core.Var]:
  """The atoms that are not literals."""
  return [atom for atom in atoms if not isinstance(atom, core.Literal)]


def _read(depth: dict[core.Var, Depth], atoms: Iterable[core.Var | core.Literal]) -> list[Depth]:
  """The depth of each atom; None for literals and for variables without a depth."""
  return [None if isinstance(atom, core.Literal) else depth.get(atom) for atom in atoms]


def num_bytes(variables: Iterable[core.Var]) -> int:
  """The bytes of arrays of the variables' shapes and dtypes."""
  return sum(math.prod(_aval(v).shape) * _aval(v).dtype.itemsize for v in variables)


def _aval(atom: core.Var | core.Literal) -> Any:
  """An object with the atom's `shape` and `dtype`."""
  return atom.aval


def _deepest(*depths: Iterable[Depth]) -> Depth:
  return max((d for some in depths for d in some if d is not None), default=None)


def _walk_equation(eqn: core.JaxprEqn, depths: list[Depth], dying: list[bool]) -> Walk:
  """The walk through a single equation, at least one of whose arguments is an activation."""
  special = _SPECIAL.get(eqn.primitive.name)
  if special:
    return special(eqn, depths, dying)
  body = _body(eqn)
  if body:
    return walk(body, depths, dying)
  count = _MULTIPLY_ADDS.get(eqn.primitive.name)
  depth = (_deepest(depths) or 0) + (count is not None)
  return Walk([depth] * len(eqn.outvars), count(eqn) if count else 0, num_bytes(eqn.outvars))


def _body(eqn: core.JaxprEqn) -> core.Jaxpr | None:
  """The jaxpr of a call (`jit`, `checkpoint`, `custom_jvp_call`, ...); None for other equations."""
  for value in eqn.params.values():
    body = value.jaxpr if isinstance(value, core.ClosedJaxpr) else value
    if isinstance(body, core.Jaxpr) and (
      [_aval(v).shape for v in body.invars] == [_aval(v).shape for v in eqn.invars]
      and len(body.outvars) == len(eqn.outvars)
    ):
      return body
  return None


def _convolution(eqn: core.JaxprEqn) -> int:
  kernel = _aval(eqn.invars[1]).shape
  outputs = kernel[eqn.params['dimension_numbers'].rhs_spec[0]]
  return math.prod(_aval(eqn.outvars[0]).shape) * (math.prod(kernel) // outputs)


def _product(eqn: core.JaxprEqn) -> int:
  (contracted, _), _ = eqn.params['dimension_numbers']
  shape = _aval(eqn.invars[0]).shape
  return math.prod(_aval(eqn.outvars[0]).shape) * math.prod(shape[axis] for axis in contracted)


def _scan(eqn: core.JaxprEqn, depths: list[Depth], dying: list[bool]) -> Walk:
  """The walk through a scan, step by step: a carry may become deeper with each step.

  The stacked results live during all steps.
  """
  del dying  # the arguments of every step but the last
  body = eqn.params['jaxpr'].jaxpr
  # The parameters that say which argument is what differ between versions of JAX. Of the arguments
  # and results, only what is stacked has an axis more than in the body.
  carries = sum(_is_whole(*pair) for pair in zip(eqn.outvars, body.outvars, strict=True))
  consts = sum(_is_whole(*pair) for pair in zip(eqn.invars, body.invars, strict=True)) - carries
  carry = depths[consts : consts + carries]
  stacked: list[Depth] = [None] * (len(eqn.outvars) - carries)
  multiply_adds = peak = 0
  for _ in range(eqn.params['length']):
    step = walk(body, [*depths[:consts], *carry, *depths[consts + carries :]])
    carry, slices = step.depths[:carries], step.depths[carries:]
    stacked = [_deepest(pair) for pair in zip(stacked, slices, strict=True)]
    multiply_adds += step.multiply_adds
    peak = max(peak, step.peak_bytes)
  outputs = zip(eqn.outvars[carries:], stacked, strict=True)
  peak += num_bytes(v for v, d in outputs if d is not None)
  return Walk([*carry, *stacked], multiply_adds, peak)


def _is_whole(outside: Any, inside: Any) -> bool:
  """Whether a scan passes a variable on as it is, rather than slice by slice."""
  return len(_aval(outside).shape) == len(_aval(inside).shape)


def _while(eqn: core.JaxprEqn, depths: list[Depth], dying: list[bool]) -> Walk:
  """The walk through one step of a `while`."""
  del dying
  tests, consts = eqn.params['cond_nconsts'], eqn.params['body_nconsts']
  test = walk(eqn.params['cond_jaxpr'].jaxpr, [*depths[:tests], *depths[tests + consts :]])
  body = walk(eqn.params['body_jaxpr'].jaxpr, depths[tests:])
  first = depths[tests + consts :]  # the results if there is no step
  results = [_deepest(pair) for pair in zip(first, body.depths, strict=True)]
  multiply_adds = test.multiply_adds + body.multiply_adds
  return Walk(results, multiply_adds, max(test.peak_bytes, body.peak_bytes))


def _cond(eqn: core.JaxprEqn, depths: list[Depth], dying: list[bool]) -> Walk:
  """The walk through the costliest branch.

  Where the predicate is an activation, so is every result, unless it is the same number in all
  branches that define it.
  """
  jaxprs = [branch.jaxpr for branch in eqn.params['branches']]
  branches = [walk(jaxpr, depths[1:], dying[1:]) for jaxpr in jaxprs]
  numbers = [set(numbers) - {_UNDEFINED} for numbers in zip(*map(_numbers, jaxprs), strict=True)]
  results = zip(*(branch.depths for branch in branches), strict=True)
  return Walk(
    [
      None if len(number) == 1 and None not in number else _deepest(depths[:1], result)
      for number, result in zip(numbers, results, strict=True)
    ],
    max(branch.multiply_adds for branch in branches),
    max(branch.peak_bytes for branch in branches),
  )


# JAX fills what one branch keeps for the backward pass with this in the other branches.
_UNDEFINED = 'empty2'


def _numbers(jaxpr: core.Jaxpr) -> list[Any]:
  """For each result, the number that all its entries are, or `_UNDEFINED`; None if computed."""
  numbers: dict[core.Var, Any] = {}
  for eqn in jaxpr.eqns:
    if eqn.primitive.name == _UNDEFINED:
      numbers[eqn.outvars[0]] = _UNDEFINED
    elif eqn.primitive.name == 'broadcast_in_dim':
      numbers[eqn.outvars[0]] = _number(numbers, eqn.invars[0])
  return [_number(numbers, atom) for atom in jaxpr.outvars]


def _number(numbers: dict[core.Var, Any], atom: core.Var | core.Literal) -> Any:
  return float(atom.val) if isinstance(atom, core.Literal) else numbers.get(atom)


_MULTIPLY_ADDS: dict[str, Callable[[core.JaxprEqn], int]] = {
  'conv_general_dilated': _convolution,
  'dot_general': _product,
}
_SPECIAL: dict[str, Callable[[core.JaxprEqn, list[Depth], list[bool]], Walk]] = {
  'scan': _scan,
  'while': _while,
  'cond': _cond,
}
