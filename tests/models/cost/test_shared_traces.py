"""Equal blocks share a trace, different blocks do not, and the results are the same."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.models.cost import shared_traces

TRACED: list[float] = []  # the factor of each block, once per trace


class Block(nn.Module):
  """Multiplies its input by a parameter and a field."""

  factor: float

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    TRACED.append(self.factor)
    x = nn.Dense(x.shape[-1], kernel_init=nn.initializers.ones, name='dense')(x)
    count = self.variable('batch_stats', 'count', jnp.zeros, ())
    count.value += self.factor
    return self.factor * x


class Net(nn.Module):
  """Blocks of given factors, one after the other."""

  factors: tuple[float, ...]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    for index, factor in enumerate(self.factors):
      x = Block(factor, name=f'block{index}')(x)
    return x


def init_and_apply(factors: tuple[float, ...], interceptor: shared_traces.Interceptor) -> Any:
  """The variables of a net, and the results of applying it; TRACED holds the traced blocks."""
  TRACED.clear()
  net, x = Net(factors), jnp.ones((2, 3))
  with nn.intercept_methods(interceptor):
    variables = jax.jit(net.init)(jax.random.key(0), x)
    return variables, jax.jit(lambda v: net.apply(v, x, mutable=['batch_stats']))(variables)


@pytest.mark.parametrize('factors', [(0.5,) * 6, (0.5, 2.0, 0.5, 2.0, 0.5, 2.0)])
def test_equal_blocks_are_traced_at_most_three_times_in_two_passes(
  factors: tuple[float, ...],
) -> None:
  plain = init_and_apply(factors, lambda traced, args, kwargs, context: traced(*args, **kwargs))
  assert len(TRACED) == 2 * len(factors)
  shared = init_and_apply(factors, shared_traces.share_traces())
  # Once without sharing, once to be shared, and once more where the variables exist already.
  assert all(TRACED.count(factor) <= 3 for factor in set(factors))
  jax.tree.map(np.testing.assert_array_equal, plain, shared)  # raises where structures differ
  y = shared[1][0]
  assert y[0, 0] == jnp.prod(3.0 * jnp.array(factors))
