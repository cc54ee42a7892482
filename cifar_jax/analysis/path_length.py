"""Which paths carry the gradient: Veit et al. 2016, arXiv 1605.06431, section 5.

Multiplied out, a residual net of n blocks is a sum over 2^n paths, each through the branch of some
blocks and the shortcut of the others. The length of a path is the number of branches on it. Three
curves over the length (figure 6): how many paths have it, binomially distributed; how large the
gradient is that reaches the input along one of them; and the product, what all of them carry.

A path is sampled as in the paper: the forward pass is the whole net's; in the backward pass the
gradient goes through the branches of k blocks drawn at random, and through the shortcuts of the
others, which is a choice of gates. The gradients along all paths add up to the whole gradient.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from cifar_jax.analysis import command, gating
from cifar_jax.models.layers import Gates
from cifar_jax.report import path_length as report

BULK = 0.95  # of the gradient, what "the effective paths" carry in the paper's figure 6 (c)


def along_path(gates: Gates, through: jax.Array) -> Gates:
  """The gates that let the gradient pass along one path only.

  Args:
    gates: of the net, float32 `[blocks, branches]`.
    through: float32 `[blocks]`, 1 where the path takes the branch and 0 where the shortcut.
  """
  return Gates(gates.forward, gates.backward * through[:, None], gates.shortcut * (1.0 - through))


@functools.partial(jax.jit, static_argnums=0)
def input_gradient(
  net: nn.Module, variables: Any, images: jax.Array, labels: jax.Array, gates: Gates
) -> jax.Array:
  """The gradient of each image's cross-entropy (in nats) by its pixels.

  Args:
    net: with residual gates, evaluated with its running statistics.
    variables: its parameters and statistics.
    images: float32 `[batch, height, width, channels]`, normalised.
    labels: int32 `[batch]`; a negative one has no gradient.
    gates: float32 `[blocks, branches]`.

  Returns:
    float32 `[batch, height, width, channels]`.
  """

  def loss(images: jax.Array) -> jax.Array:
    logits: Any = net.apply(variables, images, train=False, gates=gates)
    log_probabilities = jax.nn.log_softmax(logits)
    # One-hot, because that of a negative label is zero.
    return -jnp.sum(log_probabilities * jax.nn.one_hot(labels, log_probabilities.shape[-1]))

  return jax.grad(loss)(images)


def norms(gradient: jax.Array) -> jax.Array:
  """The Euclidean norm of each image's gradient, float32 `[batch]`."""
  return jnp.sqrt(jnp.sum(jnp.square(gradient), axis=(1, 2, 3)))


def measure(opened: command.Opened, arguments: Any) -> dict[str, Any]:
  """The three curves of a run's net, ready for JSON, and the lengths that carry the bulk."""
  gates = gating.at_test_time(opened.model)
  num_blocks = len(gating.block_names(opened.model, opened.variables['params']))
  random = np.random.default_rng(arguments.seed)
  batches = list(opened.sample)
  lengths = _lengths(num_blocks, arguments.lengths)
  rows: list[dict[str, Any]] = []
  for length in lengths:
    samples = []
    for draw in range(arguments.draws):
      through = np.zeros(num_blocks, np.float32)
      through[random.choice(num_blocks, length, replace=False)] = 1.0
      images, labels = batches[draw % len(batches)]
      path = along_path(gates, jnp.asarray(through))
      gradient = input_gradient(opened.model, opened.variables, images, labels, path)
      samples.append(np.asarray(norms(gradient))[np.asarray(labels) >= 0])
    magnitude = np.concatenate(samples).astype(np.float64)
    rows.append({'length': length, 'norm': float(magnitude.mean()),
                 'quartiles': np.percentile(magnitude, (25, 50, 75)).tolist()})  # fmt: skip
  whole = [
    np.asarray(norms(input_gradient(opened.model, opened.variables, *batch, gates)))
    for batch in batches
  ]
  share = carried(num_blocks, lengths, [row['norm'] for row in rows])
  shortest, longest = bulk(share)
  return {
    'num_blocks': num_blocks,
    'whole_norm': float(np.concatenate(whole)[: opened.sample.size].mean()),
    'lengths': rows,
    'share': [float(value) for value in share],  # of lengths 0 to num_blocks
    'bulk': [shortest, longest],
  }


def _lengths(num_blocks: int, most: int) -> list[int]:
  """At most so many lengths, from 0 to all blocks: all the short ones, then ever fewer."""
  if num_blocks + 1 <= most:
    return list(range(num_blocks + 1))
  dense = most // 2
  rest = np.linspace(dense, num_blocks, most - dense)
  return [*range(dense), *sorted({round(length) for length in rest})]


def carried(num_blocks: int, lengths: list[int], path_norms: list[float]) -> np.ndarray:
  """The share of the gradient that the paths of each length carry.

  Args:
    num_blocks: of the net.
    lengths: those that were measured, rising.
    path_norms: the mean norm of the gradient along a path of each; the logarithm of those in
      between is interpolated.

  Returns:
    float64 `[num_blocks + 1]`, which sums to 1.
  """
  every = np.arange(num_blocks + 1)
  log_norm = np.interp(every, lengths, np.log(np.maximum(path_norms, 1e-300)))
  log_share = scipy.stats.binom.logpmf(every, num_blocks, 0.5) + log_norm
  share = np.exp(log_share - log_share.max())
  return share / share.sum()


def bulk(share: np.ndarray) -> tuple[int, int]:
  """The shortest and the longest of the lengths that carry `BULK`, equal tails left out.

  Args:
    share: float `[lengths]`, from the shortest on, of the gradient; they sum to 1.
  """
  below = np.cumsum(share)
  tail = (1.0 - BULK) / 2
  return int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1.0 - tail))


def text(told: dict[str, Any]) -> str:
  """A line a length that was measured, and the bulk."""
  lines = ['length   norm of the gradient along a path   share carried by all of that length']
  lines += [
    f'{row["length"]:6}{row["norm"]:31.3e}{told["share"][row["length"]]:41.2%}'
    for row in told['lengths']
  ]
  shortest, longest = told['bulk']
  lines.append(
    f'{BULK:.0%} of the gradient comes along paths of {shortest} to {longest} of the '
    f'{told["num_blocks"]} blocks'
  )
  return '\n'.join(lines)


def main() -> None:
  """Measures how much gradient the paths of each length carry, in trained residual nets."""
  parser = command.Parser(prog='python -m cifar_jax.analysis.path_length', description=main.__doc__)
  parser.add_argument('--draws', type=command.positive, default=10, help='paths of each length')
  parser.add_argument('--lengths', type=command.positive, default=40, help='how many at most')
  parser.add_argument('--seed', type=int, default=0, help='of the paths')
  command.analyse('path_length', parser, measure, text, report.figure)


if __name__ == '__main__':
  command.run(main)
