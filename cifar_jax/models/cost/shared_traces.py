"""Sharing the traces of equal blocks: a block is not traced again where an equal one has been.

Flax takes milliseconds to trace a layer, and deep nets have hundreds of equal blocks. `nn.jit`
keeps the trace of a module for later modules with the same fields and shapes. It makes a block
without an equal slower, so it is used from a block's second appearance on.
"""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any

import flax.linen as nn
import jax

from cifar_jax.models import layers

Interceptor = Callable[..., Any]


def share_traces() -> Interceptor:
  """Makes an argument of `nn.intercept_methods` with which equal blocks share a trace.

  The interceptor keeps the traces as long as it lives. They may depend on nothing but the modules'
  fields and arguments, so it must be used in the same context each time.
  """
  seen: set[Hashable] = set()
  inside = False

  @nn.jit
  def call(block: nn.Module, *args: Any) -> Any:
    nonlocal inside
    inside = True  # the call below is intercepted again, and must be traced this time
    return type(block).__call__(block, *args)

  def intercept(
    method: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: nn.module.InterceptorContext,
  ) -> Any:
    nonlocal inside
    module = context.module
    if inside or kwargs or context.method_name != '__call__' or not _is_block(module):
      inside = False
      return method(*args, **kwargs)
    key = _key(module, args)
    if key in seen:
      return call(module, *args)
    seen.add(key)
    return method(*args)

  return intercept


def _is_block(module: nn.Module) -> bool:
  """Whether a module is part of a net and has submodules, unlike single layers and Flax's own."""
  is_part = module.scope is not None and bool(module.path)
  is_layer = isinstance(module, layers.Layer)
  return is_part and not is_layer and not type(module).__module__.startswith('flax.')


def _key(module: nn.Module, args: tuple[Any, ...]) -> Hashable:
  """A key that is equal for modules that may share a trace; `nn.jit` checks whether they do."""
  fields = {
    field.name: getattr(module, field.name)
    for field in dataclasses.fields(module)
    if field.name not in ('name', 'parent')
  }
  shapes = [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(args)]
  return type(module), repr(fields), repr(shapes)
