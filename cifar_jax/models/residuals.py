"""What the backward pass keeps of a forward pass, without tracing the two together.

JAX differentiates equation by equation. So does this, but each kind of equation once: for a net of
a thousand layers that takes little beside the trace of its forward pass.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.extend import core

import cifar_jax.models.walk as walks


class Rule(NamedTuple):
  """What the backward pass of one equation keeps.

  Attributes:
    values: positions among its variables and results, in this order.
    masks: new activations, such as the mask of a ReLU: the position of a variable or result of the
      same shape, and the bytes of an entry.
    others: bytes of new activations of yet other shapes.
    differentiable: of each of its results, whether a gradient passes.
  """

  values: list[int]
  masks: list[tuple[int, int]]
  others: int
  differentiable: list[bool]


def kept_bytes(
  jaxpr: core.Jaxpr, depths: Sequence[walks.Depth], differentiated: Sequence[bool]
) -> int:
  """The bytes of the activations that `jax.vjp` of a jaxpr keeps.

  Args:
    jaxpr: the forward pass.
    depths: of its arguments; None for those that are no activations.
    differentiated: the arguments that the gradient is taken by.
  """
  depth = dict(zip(jaxpr.invars, depths, strict=True))
  moving = {v for v, moves in zip(jaxpr.invars, differentiated, strict=True) if moves}
  rules: dict[Any, Rule] = {}
  steps = []
  for _, eqn in walks.needed(jaxpr)[0]:
    depth.update(zip(eqn.outvars, walks.depths(eqn, depth), strict=True))
    invars = list(dict.fromkeys(walks.variables(eqn.invars)))
    roles = [(depth.get(v) is not None, v in moving) for v in invars]
    if not moving.isdisjoint(invars):
      rule = _remembered(rules, eqn, invars, roles)
      moves = zip(_results(eqn), rule.differentiable, strict=True)
      moving.update(v for v, differentiable in moves if differentiable)
      steps.append((invars, _results(eqn), rule))

  kept: set[core.Var] = set()
  new_bytes = 0
  reached = moving.intersection(walks.variables(jaxpr.outvars))  # by the gradient
  for invars, results, rule in reversed(steps):
    if reached.isdisjoint(results):
      continue
    reached.update(moving.intersection(invars))
    every = [*invars, *results]
    kept.update(every[i] for i in rule.values)
    new_bytes += rule.others + sum(math.prod(walks.aval(every[i]).shape) * n for i, n in rule.masks)
  return new_bytes + walks.num_bytes(v for v in kept if depth.get(v) is not None)


def _results(eqn: core.JaxprEqn) -> list[core.Var]:
  return [v for v in eqn.outvars if not isinstance(v, core.DropVar)]


def _remembered(
  rules: dict[Any, Rule],
  eqn: core.JaxprEqn,
  invars: list[core.Var],
  roles: list[tuple[bool, bool]],
) -> Rule:
  """The rule of an equation, out of `rules` if it is there.

  A rule serves every equation with the same parameters whose variables have the same dtypes, axes
  of length 1 and equalities of shape, if all it keeps has the shape of one of them.
  """
  params = frozenset(eqn.params.items())
  if eqn.primitive.name == 'custom_jvp_call':  # new for every call, so told by its source line
    params = eqn.params['call_jaxpr'].jaxpr.debug_info.func_src_info
  atoms = tuple(str(a) if isinstance(a, core.Literal) else invars.index(a) for a in eqn.invars)
  shapes = [walks.aval(v).shape for v in (*invars, *_results(eqn))]
  pattern = tuple((shapes.index(shape), *(length == 1 for length in shape)) for shape in shapes)
  general = (eqn.primitive, params, atoms, *roles, *(walks.aval(v).dtype for v in invars), pattern)
  special = (*general, tuple(shapes))
  rule = rules.get(general) or rules.get(special)
  if rule is None:
    rule = _rule(eqn, invars, roles)
    rules[special if rule.others else general] = rule
  return rule


def _rule(eqn: core.JaxprEqn, invars: list[core.Var], roles: list[tuple[bool, bool]]) -> Rule:
  """Differentiates one equation.

  Args:
    eqn: the equation.
    invars: its variables, each once.
    roles: of each of them, whether it is an activation, and whether it is differentiated.
  """
  told = core.DebugInfo('vjp', eqn.primitive.name, None, None)
  alone = core.Jaxpr((), invars, _results(eqn), [eqn], debug_info=told)
  function = core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))

  def differentiate(arguments: list[jax.Array], tangents: list[jax.Array]) -> Any:
    def of_moving(*values: jax.Array) -> list[jax.Array]:
      moving = iter(values)
      return function(
        *(next(moving) if m else a for a, (_, m) in zip(arguments, roles, strict=True))
      )

    values = [a for a, (_, moves) in zip(arguments, roles, strict=True) if moves]
    results, backward = jax.vjp(of_moving, *values)
    _, changes = jax.jvp(of_moving, values, tangents)
    changes = [None if c.dtype == jax.dtypes.float0 else c for c in changes]
    return results, jax.tree.leaves(backward), changes

  arguments = [jax.ShapeDtypeStruct(walks.aval(v).shape, walks.aval(v).dtype) for v in invars]
  tangents = [a for a, (_, moves) in zip(arguments, roles, strict=True) if moves]
  closed, shapes = jax.make_jaxpr(differentiate, return_shape=True)(arguments, tangents)
  jaxpr, structure = closed.jaxpr, jax.tree.structure(shapes)

  from_active = [0 if active else None for active, _ in roles] + [None] * len(tangents)
  from_tangents = [None] * len(invars) + [0] * len(tangents)
  results, kept, _ = jax.tree.unflatten(structure, jaxpr.outvars)
  _, kept_depths, _ = jax.tree.unflatten(structure, walks.walk(jaxpr, from_active).depths)
  _, _, change_depths = jax.tree.unflatten(structure, walks.walk(jaxpr, from_tangents).depths)

  every = [*jaxpr.invars[: len(invars)], *results]
  lengths = [walks.aval(v).shape for v in every]
  new = {v for v, d in zip(kept, kept_depths, strict=True) if d is not None} - {
    *walks.variables(every)
  }
  like = {v: lengths.index(walks.aval(v).shape) for v in new if walks.aval(v).shape in lengths}
  return Rule(
    values=[i for i, v in enumerate(every) if v in kept],
    masks=[(i, walks.aval(v).dtype.itemsize) for v, i in like.items()],
    others=walks.num_bytes(new - set(like)),
    differentiable=[d is not None for d in change_depths],
  )
