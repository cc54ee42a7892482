"""The loss around a trained net, and on the way to another.

Along a random direction (Li et al. 2018, arXiv 1712.09913, section 4): every filter of the
direction is scaled to the norm of the net's own, so that nets of different scales can be compared;
biases and the parameters of norms stay where they are, and so do the running statistics.

With `--to` another run of the same model, along the straight line between both nets (Goodfellow et
al. 2015, arXiv 1412.6544). On it the activations shrink, which has little to do with the loss: the
statistics are therefore measured anew at each point (Jordan et al. 2023, arXiv 2211.08403).
"""

import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.analysis import command
from cifar_jax.analysis.sample import PADDING, Sample
from cifar_jax.errors import InputError
from cifar_jax.report import landscape as report


def direction(key: jax.Array, params: Any) -> Any:
  """A random direction with the norms of a net's own filters.

  Args:
    key: scalar, of the normal draws.
    params: of the net. A filter is what gives one output channel: `[..., channel]` of a kernel.

  Returns:
    A tree like the parameters; zero for those of shape `[channels]`.
  """
  leaves, structure = jax.tree.flatten(params)
  keys = jax.random.split(key, len(leaves))

  def like(key: jax.Array, leaf: jax.Array) -> jax.Array:
    if leaf.ndim < 2:
      return jnp.zeros_like(leaf)
    axes = tuple(range(leaf.ndim - 1))
    drawn = jax.random.normal(key, leaf.shape)
    norm = lambda x: jnp.sqrt(jnp.sum(x * x, axes))  # noqa: E731
    return drawn * norm(leaf) / norm(drawn)

  return jax.tree.unflatten(structure, map(like, keys, leaves))


class Surface:
  """The loss of a net as a function of its parameters, on a sample."""

  def __init__(self, net: nn.Module, sample: Sample) -> None:
    """Compiles nothing yet; the sample's whole batches are what statistics are measured on."""
    self._sample = sample

    def totals(variables: Any, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
      logits: Any = net.apply(variables, images, train=False)
      counts = labels != PADDING
      chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]
      wrong = (jnp.argmax(logits, axis=-1) != labels) & counts
      return -jnp.sum(chosen * counts), jnp.sum(wrong)

    def updated(params: Any, statistics: Any, images: jax.Array) -> Any:
      _, updates = net.apply(
        {'params': params, 'batch_stats': statistics},
        images,
        train=True,
        mutable=['batch_stats', 'auxiliary_logits'],
        rngs={'params': jax.random.key(0)},  # stands in for every stream
      )
      return updates.get('batch_stats', {})

    self._totals, self._updated = jax.jit(totals), jax.jit(updated)

  def at(self, params: Any, statistics: Any) -> dict[str, float]:
    """The mean cross-entropy in nats, and the error in [0, 1]."""
    variables = {'params': params, 'batch_stats': statistics}
    parts = [self._totals(variables, *batch) for batch in self._sample]
    loss, wrong = (float(sum(values)) for values in zip(*parts, strict=True))
    return {'loss': loss / self._sample.size, 'error': wrong / self._sample.size}

  def statistics(self, params: Any, like: Any) -> Any:
    """The statistics of the sample's whole batches, averaged.

    Args:
      params: of the net.
      like: any statistics of it.
    """
    # A running average goes from s to m * s + (1 - m) * b: from 0 and from 1, that tells both.
    zeros, ones = jax.tree.map(jnp.zeros_like, like), jax.tree.map(jnp.ones_like, like)
    images = self._sample.whole_batches().images
    from_zero = [self._updated(params, zeros, batch) for batch in images]
    from_one = self._updated(params, ones, images[0])
    mean = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *from_zero)
    return jax.tree.map(
      lambda mean, zero, one: mean / (1.0 - (one - zero)), mean, from_zero[0], from_one
    )


def measure(opened: command.Opened, arguments: Any) -> dict[str, Any]:
  """The loss and the error along a line, ready for JSON."""
  surface = Surface(opened.model, opened.sample)
  params, statistics = opened.variables['params'], opened.variables['batch_stats']
  between = arguments.to is not None
  if between:
    other = command.open_run(arguments.to, arguments, arguments.overrides)
    if other.model != opened.model:
      raise InputError(
        f'{arguments.to} holds a {other.name} with other fields than {opened.workdir}: there is no '
        'line between nets of different kinds'
      )
    step = jax.tree.map(jnp.subtract, other.variables['params'], params)
  else:
    step = direction(jax.random.key(arguments.seed), params)
  rows = []
  for position in np.linspace(0.0 if between else -1.0, 1.0, arguments.points):
    moved = jax.tree.map(lambda leaf, change: leaf + np.float32(position) * change, params, step)  # noqa: B023
    here = surface.statistics(moved, statistics) if between else statistics
    rows.append({'position': float(position), **surface.at(moved, here)})
  return {'to': arguments.to and arguments.to.name, 'points': rows}


def text(told: dict[str, Any]) -> str:
  """A line a point."""
  lines = ['position      loss     error']
  lines += [
    f'{row["position"]:8.2f}{row["loss"]:10.4f}{row["error"]:10.2%}' for row in told['points']
  ]
  return '\n'.join(lines)


def main() -> None:
  """Measures the loss along a random direction, or between two runs."""
  parser = command.Parser(prog='python -m cifar_jax.analysis.landscape', description=main.__doc__)
  parser.add_argument('--to', type=pathlib.Path, help='another run of the same model')
  parser.add_argument('--points', type=command.positive, default=21, help='along the line')
  parser.add_argument('--seed', type=int, default=0, help='of the direction')
  command.analyse('landscape', parser, measure, text, report.figure)


if __name__ == '__main__':
  command.run(main)
