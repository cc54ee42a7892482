"""Tracing nets whose blocks are alike: a block that has been seen before is not traced anew.

Flax takes milliseconds to trace a layer, and deep nets have hundreds of equal blocks. `nn.jit`
keeps the trace of a module for others of the same fields and shapes. A block without a twin would
only take longer by it, so it is used from a block's second appearance on.
"""

from collections.abc import Callable, Hashable
from typing import Any

import flax.linen as nn
import jax

from cifar_jax.models.layer import Layer

Interceptor = Callable[..., Any]


def interceptor() -> Interceptor:
  """Makes what `nn.intercept_methods` is given, so that equal blocks share a trace.

  The traces are kept as long as the interceptor. They may depend on nothing but the modules' fields
  and arguments: it is to be used in the same context each time.
  """
  seen: set[Hashable] = set()
  inside = False

  @nn.jit
  def call(block: nn.Module, *args: Any) -> Any:
    nonlocal inside
    inside = True  # the call below is intercepted again, and is now to be traced
    return type(block).__call__(block, *args)

  def intercept(
    traced: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: nn.module.InterceptorContext,
  ) -> Any:
    nonlocal inside
    module = context.module
    if inside or kwargs or context.method_name != '__call__' or not _is_block(module):
      inside = False
      return traced(*args, **kwargs)
    key = _key(module, args)
    if key in seen:
      return call(module, *args)
    seen.add(key)
    return traced(*args)

  return intercept


def _is_block(module: nn.Module) -> bool:
  """Whether it is a part of a net, and has parts itself, as no layer of ours or Flax's has."""
  is_part = module.scope is not None and bool(module.path)
  is_layer = isinstance(module, Layer) or type(module).__module__.startswith('flax.')
  return is_part and not is_layer


def _key(module: nn.Module, args: tuple[Any, ...]) -> Hashable:
  """Equal for modules that may share a trace; whether they do is for `nn.jit` to find out."""
  fields = {
    name: getattr(module, name)
    for name in type(module).__dataclass_fields__
    if name not in ('name', 'parent')
  }
  shapes = [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(args)]
  return type(module), repr(fields), repr(shapes)
