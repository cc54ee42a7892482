"""The walk over a traced computation that counts its work and follows its activations."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from jax.extend import core

# Layers with weights between the images and a value; None for a value that is no activation.
Depth = int | None


class Walk(NamedTuple):
  """What the walk over some equations found.

  Attributes:
    depths: one for each of their results.
    multiply_adds: of the convolutions and dense layers among them.
    peak_bytes: the most that activations held beyond what they held before.
  """

  depths: list[Depth]
  multiply_adds: int
  peak_bytes: int


def walk(jaxpr: core.Jaxpr, depths: Sequence[Depth], dying: Sequence[bool] = ()) -> Walk:
  """Follows the activations through the equations of a jaxpr.

  Args:
    jaxpr: the traced computation.
    depths: one for each of its arguments.
    dying: which of its arguments nobody needs after their last use here; by default none.
  """
  depth = dict(zip(jaxpr.invars, depths, strict=True))
  owned = {v for v, dies in zip(jaxpr.invars, dying, strict=False) if dies}
  equations, last_use = _needed(jaxpr)
  live = peak = multiply_adds = 0
  for i, eqn in equations:
    inputs = _read(depth, eqn.invars)
    if _deepest(inputs) is None:
      continue
    ending = {v for v in _variables(eqn.invars) if v in owned and last_use[v] == i}
    step = _equation(eqn, inputs, [isinstance(v, core.Var) and v in ending for v in eqn.invars])
    made = [v for v, d in zip(eqn.outvars, step.depths, strict=True) if d is not None]
    multiply_adds += step.multiply_adds
    peak = max(peak, live + step.peak_bytes)
    live += num_bytes(v for v in made if v in last_use) - num_bytes(ending)
    depth.update(zip(eqn.outvars, step.depths, strict=True))
    owned.update(made)
  return Walk(_read(depth, jaxpr.outvars), multiply_adds, peak)


def _needed(jaxpr: core.Jaxpr) -> tuple[list[tuple[int, core.JaxprEqn]], dict[core.Var, int]]:
  """The equations that the results depend on, with their indices, and who uses each variable last.

  The results themselves are used by the caller, after the last equation.
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
  """Those that are no literals."""
  return [atom for atom in atoms if not isinstance(atom, core.Literal)]


def _read(depth: dict[core.Var, Depth], atoms: Iterable[core.Var | core.Literal]) -> list[Depth]:
  """The depth of each; None for literals and for variables without one."""
  return [None if isinstance(atom, core.Literal) else depth.get(atom) for atom in atoms]


def num_bytes(variables: Iterable[core.Var]) -> int:
  """What arrays of the shapes and dtypes of some variables hold."""
  return sum(math.prod(_aval(v).shape) * _aval(v).dtype.itemsize for v in variables)


def _aval(atom: core.Var | core.Literal) -> Any:
  """Its shape and dtype, as attributes."""
  return atom.aval


def _deepest(*depths: Iterable[Depth]) -> Depth:
  return max((d for some in depths for d in some if d is not None), default=None)


def _equation(eqn: core.JaxprEqn, depths: list[Depth], dying: list[bool]) -> Walk:
  """The walk over a single equation, of which at least one argument is an activation."""
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
  """What a call (`jit`, `checkpoint`, `custom_jvp_call`, ...) computes; None for any other."""
  for value in eqn.params.values():
    body = getattr(value, 'jaxpr', value)  # closed or open
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
  """Step by step, since a carry may become deeper with each; the stacked results live all along."""
  del dying  # the arguments of every step but the last
  consts, carries = eqn.params['num_consts'], eqn.params['num_carry']
  carry = depths[consts : consts + carries]
  stacked: list[Depth] = [None] * (len(eqn.outvars) - carries)
  multiply_adds = peak = 0
  for _ in range(eqn.params['length']):
    step = walk(eqn.params['jaxpr'].jaxpr, [*depths[:consts], *carry, *depths[consts + carries :]])
    carry, slices = step.depths[:carries], step.depths[carries:]
    stacked = [_deepest(pair) for pair in zip(stacked, slices, strict=True)]
    multiply_adds += step.multiply_adds
    peak = max(peak, step.peak_bytes)
  outputs = zip(eqn.outvars[carries:], stacked, strict=True)
  peak += num_bytes(v for v, d in outputs if d is not None)
  return Walk([*carry, *stacked], multiply_adds, peak)


def _while(eqn: core.JaxprEqn, depths: list[Depth], dying: list[bool]) -> Walk:
  """One step."""
  del dying
  tests, consts = eqn.params['cond_nconsts'], eqn.params['body_nconsts']
  test = walk(eqn.params['cond_jaxpr'].jaxpr, [*depths[:tests], *depths[tests + consts :]])
  body = walk(eqn.params['body_jaxpr'].jaxpr, depths[tests:])
  first = depths[tests + consts :]  # what the results are if there is no step
  results = [_deepest(pair) for pair in zip(first, body.depths, strict=True)]
  multiply_adds = test.multiply_adds + body.multiply_adds
  return Walk(results, multiply_adds, max(test.peak_bytes, body.peak_bytes))


def _cond(eqn: core.JaxprEqn, depths: list[Depth], dying: list[bool]) -> Walk:
  """The costliest branch; a result is an activation too where they choose by one."""
  branches = [walk(branch.jaxpr, depths[1:], dying[1:]) for branch in eqn.params['branches']]
  return Walk(
    [_deepest(depths[:1], result) for result in zip(*(b.depths for b in branches), strict=True)],
    max(branch.multiply_adds for branch in branches),
    max(branch.peak_bytes for branch in branches),
  )


_MULTIPLY_ADDS: dict[str, Callable[[core.JaxprEqn], int]] = {
  'conv_general_dilated': _convolution,
  'dot_general': _product,
}
_SPECIAL: dict[str, Callable[[core.JaxprEqn, list[Depth], list[bool]], Walk]] = {
  'scan': _scan,
  'while': _while,
  'cond': _cond,
}
