"""The modules that a model calls in a pass."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax import models
from cifar_jax.models import classifier


def modules(model: nn.Module, *, train: bool) -> dict[str, nn.Module]:
  """The modules that a pass of a model calls, by their paths; nothing is computed."""
  called: dict[str, nn.Module] = {}

  def note(
    call: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    context: nn.module.InterceptorContext,
  ) -> Any:
    called['/'.join(context.module.path)] = context.module
    return call(*arguments, **keywords)

  size = classifier.image_size(model)
  images = jnp.zeros((2, size, size, 3))
  streams = {stream: jax.random.key(0) for stream in classifier.STREAMS}

  def apply(variables: Any) -> Any:
    return model.apply(variables, images, train=train, rngs=streams, mutable=True)

  with nn.intercept_methods(note):
    jax.eval_shape(apply, models.abstract_variables(model))
  return called
