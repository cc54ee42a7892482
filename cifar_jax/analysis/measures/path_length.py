"""The paths that carry the gradient: Veit et al. 2016, arXiv 1605.06431, section 5.

Multiplied out, a residual net of n blocks is a sum over 2^n paths. Each path goes through the
branches of some blocks and the shortcuts of the rest; its length is its number of branches. Three
curves over the length (figure 6): the number of paths, a binomial distribution; the norm of the
gradient at the input along one path; and their product, the gradient along all paths of a length.

Paths are sampled as in the paper. The forward pass is that of the whole net. In the backward pass
the gradient goes through the branches of k random blocks and through the shortcuts of the rest,
which is a choice of gates. The gradients along all paths add up to the whole gradient.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from cifar_jax.analysis import runner
from cifar_jax.analysis.gates import block_names, gates_at_test_time
from cifar_jax.models import layers
from cifar_jax.runtime.devices import jit_in_turn

CENTRAL_SHARE = 0.95  # of the paths, section 3.1; of the gradient, "effective paths", figure 6 (c)


def along_path(gates: layers.Gates, through_branch: jax.Array) -> layers.Gates:
  """Gates that let the gradient pass along one path only.

  Args:
    gates: gates of the net, float32 `[blocks, branches]`.
    through_branch: float32 `[blocks]`, 1 where the path goes through the branch, 0 where it goes
      through the shortcut.
  """
  return layers.Gates(
    gates.forward,
    gates.backward * through_branch[:, None],
    gates.shortcut * (1.0 - through_branch),
  )


def input_gradient(
  net: nn.Module, variables: Any, images: jax.Array, labels: jax.Array, gates: layers.Gates
) -> jax.Array:
  """The gradient of each image's cross-entropy (in nats) with respect to its pixels.

  Args:
    net: a `models.classifier.Gated` model, in evaluation with its running statistics.
    variables: parameters and statistics of the net.
    images: float32 `[batch, height, width, channels]`, normalised.
    labels: int32 `[batch]`; the gradient of an image with a negative label is zero.
    gates: float32 `[blocks, branches]`.

  Returns:
    float32 `[batch, height, width, channels]`.
  """

  def loss(images: jax.Array) -> jax.Array:
    logits: Any = net.apply(variables, images, train=False, gates=gates)
    log_probabilities = jax.nn.log_softmax(logits)
    # The one-hot vector of a negative label is zero.
    return -jnp.sum(log_probabilities * jax.nn.one_hot(labels, log_probabilities.shape[-1]))

  return jax.grad(loss)(images)


def norms(gradient: jax.Array) -> jax.Array:
  """The Euclidean norm of each image's gradient, float32 `[batch]`.

  Along a path through 30 blocks it can be 1e-22, whose square would be 0 in float32.
  """
  axes = (1, 2, 3)
  largest = jnp.max(jnp.abs(gradient), axis=axes, keepdims=True)
  unit = jnp.where(largest > 0, largest, 1.0)
  return unit[:, 0, 0, 0] * jnp.sqrt(jnp.sum(jnp.square(gradient / unit), axis=axes))


def measure(run: runner.AnalysedRun, arguments: argparse.Namespace) -> dict[str, Any]:
  """Measures the three curves of a run's net, and the lengths that matter; ready for JSON."""
  gates = gates_at_test_time(run.model)
  num_blocks = len(block_names(run.model, run.variables['params']))
  random = np.random.default_rng(arguments.seed)
  lengths = _select_lengths(num_blocks, arguments.lengths)
  # Compiled anew in each analysis: a net that a notebook has changed may equal the one before.
  gradient = jit_in_turn(functools.partial(input_gradient, run.model))
  rows: list[dict[str, Any]] = []
  for length in lengths:
    path_norms = _path_norms(run, gradient, gates, length, arguments.draws, random)
    rows.append({
      'length': length,
      'norm': float(path_norms.mean()),
      'quartiles': np.percentile(path_norms, (25, 50, 75)).tolist(),
    })  # fmt: skip
  whole_norms = [np.asarray(norms(gradient(run.variables, *batch, gates))) for batch in run.sample]
  share = gradient_share(num_blocks, lengths, [row['norm'] for row in rows])
  return {
    'num_blocks': num_blocks,
    'whole_norm': float(np.concatenate(whole_norms)[: run.sample.size].mean()),
    'lengths': rows,
    'share': [float(value) for value in share],  # of lengths 0 to num_blocks
    'bulk': list(central_lengths(share)),
    'bulk_of_paths': list(central_lengths(path_share(num_blocks))),
  }


def _path_norms(
  run: runner.AnalysedRun,
  gradient: Callable[..., jax.Array],
  gates: layers.Gates,
  length: int,
  draws: int,
  random: np.random.Generator,
) -> np.ndarray:
  """Norms of the `gradient` along random paths of a length, float64 `[images of all draws]`."""
  num_blocks = len(gates.shortcut)
  batches = list(run.sample)
  samples = []
  for draw in range(draws):
    through_branch = np.zeros(num_blocks, np.float32)
    through_branch[random.choice(num_blocks, length, replace=False)] = 1.0
    images, labels = batches[draw % len(batches)]
    path = along_path(gates, jnp.asarray(through_branch))
    of_images = norms(gradient(run.variables, images, labels, path))
    samples.append(np.asarray(of_images)[np.asarray(labels) >= 0])
  return np.concatenate(samples).astype(np.float64)


def _select_lengths(num_blocks: int, limit: int) -> list[int]:
  """At most `limit` lengths from 0 to `num_blocks`: all short lengths, then evenly spaced ones."""
  if num_blocks + 1 <= limit:
    return list(range(num_blocks + 1))
  dense = limit // 2
  spaced = np.linspace(dense, num_blocks, limit - dense)
  return [*range(dense), *sorted({round(length) for length in spaced})]


def path_share(num_blocks: int) -> np.ndarray:
  """The share of each length among all paths, float64 `[num_blocks + 1]`; sums to 1."""
  return np.asarray(scipy.stats.binom.pmf(np.arange(num_blocks + 1), num_blocks, 0.5))


def gradient_share(num_blocks: int, lengths: list[int], path_norms: list[float]) -> np.ndarray:
  """The share of the gradient along all paths of each length.

  Args:
    num_blocks: number of residual blocks.
    lengths: the lengths that were measured, in ascending order.
    path_norms: for each of these lengths, the mean norm of the gradient along a path. Between them
      the logarithm of the norm is interpolated.

  Returns:
    float64 `[num_blocks + 1]`, which sums to 1.
  """
  all_lengths = np.arange(num_blocks + 1)
  log_norm = np.interp(all_lengths, lengths, np.log(np.maximum(path_norms, 1e-300)))
  log_share = scipy.stats.binom.logpmf(all_lengths, num_blocks, 0.5) + log_norm
  share = np.exp(log_share - log_share.max())
  return share / share.sum()


def central_lengths(share: np.ndarray) -> tuple[int, int]:
  """The shortest and the longest length that remain when both tails of the share are cut off.

  Each tail has half of what `CENTRAL_SHARE` lacks to 1.

  Args:
    share: float `[lengths]`, the share of each length from 0; sums to 1.
  """
  cumulative = np.cumsum(share)
  tail = (1.0 - CENTRAL_SHARE) / 2
  return int(np.searchsorted(cumulative, tail)), int(np.searchsorted(cumulative, 1.0 - tail))


def format_table(results: dict[str, Any]) -> str:
  """Formats the results: a line per measured length, and the central lengths."""
  lines = ['length   norm of the gradient along a path   share carried by all of that length']
  lines += [
    f'{row["length"]:6}{row["norm"]:31.3e}{results["share"][row["length"]]:41.2%}'
    for row in results['lengths']
  ]
  for what, bulk in (('paths go through', 'bulk_of_paths'), ('gradient comes through', 'bulk')):
    shortest, longest = results[bulk]
    blocks = f'{shortest} to {longest} of the {results["num_blocks"]} blocks'
    lines.append(f'{CENTRAL_SHARE:.0%} of the {what} {blocks}')
  return '\n'.join(lines)
