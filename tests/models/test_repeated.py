"""Equal blocks share a trace, others do not, and what is traced is the same."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cifar_jax.models import repeated

TRACED = []


class Block(nn.Module):
  """Scales what it is given by a parameter and a field."""

  factor: float

  @nn.compact
  def __call__(self, x):
    TRACED.append(self.factor)
    x = nn.Dense(x.shape[-1], kernel_init=nn.initializers.ones, name='dense')(x)
    count = self.variable('batch_stats', 'count', jnp.zeros, ())
    count.value += self.factor
    return self.factor * x


class Net(nn.Module):
  """Blocks of given factors, one after the other."""

  factors: tuple

  @nn.compact
  def __call__(self, x):
    for index, factor in enumerate(self.factors):
      x = Block(factor, name=f'block{index}')(x)
    return x


def made(factors, shared):
  """What initialising and applying a net gives; TRACED says which blocks were traced."""
  TRACED.clear()
  net, x = Net(factors), jnp.ones((2, 3))
  with nn.intercept_methods(shared):
    variables = jax.jit(net.init)(jax.random.key(0), x)
    return variables, jax.jit(lambda v: net.apply(v, x, mutable=['batch_stats']))(variables)


@pytest.mark.parametrize('factors', [(0.5,) * 6, (0.5, 2.0, 0.5, 2.0, 0.5, 2.0)])
def test_equal_blocks_are_traced_no_more_than_twice(factors):
  plain = made(factors, lambda traced, args, kwargs, context: traced(*args, **kwargs))
  assert len(TRACED) == 2 * len(factors)
  shared = made(factors, repeated.interceptor())
  # Once plainly, once for keeps; and once more where the variables are there already.
  assert all(TRACED.count(factor) <= 3 for factor in set(factors))
  assert jax.tree.structure(plain) == jax.tree.structure(shared)
  assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), plain, shared))
  y = shared[1][0]
  assert y[0, 0] == jnp.prod(3.0 * jnp.array(factors))
