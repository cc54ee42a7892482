"""A training pass with and without a net's field `remat`, which must give the same results."""

from typing import Any

import jax
import jax.numpy as jnp

from cifar_jax import models
from cifar_jax.runtime.devices import KEEP_BARRIERS


def training_passes(name: str, variables: Any, images: Any, **fields: Any) -> list[Any]:
  """The gradients, logits and statistics of a net, without and with rematerialisation.

  Args:
    name: the model's name.
    variables: the net's variables.
    images: float32 `[batch, height, width, 3]`.
    **fields: the model's fields.
  """
  nets = [models.create(name, remat=remat, **fields) for remat in (False, True)]
  assert models.abstract_variables(nets[0]) == models.abstract_variables(nets[1])

  def run(net: Any, variables: Any, images: Any) -> Any:
    def loss(params: Any) -> Any:
      logits, updates = net.apply(
        variables | {'params': params},
        images,
        train=True,
        rngs={stream: jax.random.key(2) for stream in ('dropout', 'drop_path')},
        mutable=['batch_stats'],
      )
      return jnp.sum(logits**2), (logits, updates['batch_stats'])

    return jax.grad(loss, has_aux=True)(variables['params'])

  compiled = jax.jit(run, static_argnums=0, compiler_options=KEEP_BARRIERS)
  return [compiled(net, variables, images) for net in nets]
