"""The loss along a line in the space of the parameters: around a trained net, or between two.

Along a random direction (Li et al. 2018, arXiv 1712.09913, section 4): every filter of the
direction is scaled to the norm of the net's filter, so that nets of different scales can be
compared. Biases, the parameters of norms and the running statistics do not change.

With `--to` another run of the same model, along the straight line between both nets (Goodfellow et
al. 2015, arXiv 1412.6544). Between the nets the activations shrink, so that running statistics of
either net do not fit. The statistics of all batch normalisations are therefore measured at each
point, with dropout off and all branches open (Jordan et al. 2023, arXiv 2211.08403).
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.analysis import runner
from cifar_jax.analysis.module_names import is_scanned
from cifar_jax.analysis.sample import PADDING, Sample
from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.optim import parameter_groups
from cifar_jax.runtime.devices import jit_in_turn


def random_direction(key: jax.Array, params: Any) -> Any:
  """A random direction whose filters have the norms of a net's filters.

  Args:
    key: scalar key of the normal distribution.
    params: parameters of the net. A filter is the part of a kernel that makes one output channel,
      `[..., channel]`, in a scanned stage of one block, `[block, ..., channel]`.

  Returns:
    A tree like the parameters; zero for all that are no kernels.
  """
  leaves, structure = jax.tree_util.tree_flatten_with_path(params)
  keys = jax.random.split(key, len(leaves))
  is_kernel = jax.tree.leaves(parameter_groups.kernels(params))

  def random_like(key: jax.Array, path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
    num_stacked = any(is_scanned(str(part.key)) for part in path)
    axes = tuple(range(num_stacked, leaf.ndim - 1))
    normal = jax.random.normal(key, leaf.shape)
    norm = lambda x: jnp.sqrt(jnp.sum(x * x, axes, keepdims=True))  # noqa: E731
    return normal * norm(leaf) / norm(normal)

  directions = [
    random_like(key, path, leaf) if kernel else jnp.zeros_like(leaf)
    for key, (path, leaf), kernel in zip(keys, leaves, is_kernel, strict=True)
  ]
  return jax.tree.unflatten(structure, directions)


class Surface:
  """The loss and the error of a net on a sample, as functions of its parameters."""

  def __init__(self, net: nn.Module, sample: Sample) -> None:
    """Defines the functions, which are compiled at the first call.

    Args:
      net: a `models.classifier.Classifier`.
      sample: the images. Batch statistics are measured on its whole batches.
    """
    self._sample = sample

    def loss_and_wrong(
      variables: Any, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
      logits: Any = net.apply(variables, images, train=False)
      counts = labels != PADDING
      of_label = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]
      wrong = (jnp.argmax(logits, axis=-1) != labels) & counts
      return -jnp.sum(of_label * counts), jnp.sum(wrong)

    def measure_statistics(params: Any, batch_stats: Any, images: jax.Array) -> Any:
      variables = {'params': params, 'batch_stats': batch_stats}
      with nn.intercept_methods(_store_batch_statistics):
        _, updates = net.apply(variables, images, train=False, mutable=['batch_stats'])
      return updates.get('batch_stats', {})

    self._loss_and_wrong = jit_in_turn(loss_and_wrong)
    self._measure_statistics = jit_in_turn(measure_statistics)

  @functools.cached_property
  def _whole_batches(self) -> Sample:
    return self._sample.whole_batches()

  def at(self, params: Any, batch_stats: Any) -> dict[str, float]:
    """The mean cross-entropy `loss`, in nats, and the `error`, in [0, 1], of the sample."""
    variables = {'params': params, 'batch_stats': batch_stats}
    batches = [self._loss_and_wrong(variables, *batch) for batch in self._sample]
    loss, wrong = (float(sum(values)) for values in zip(*batches, strict=True))
    return {'loss': loss / self._sample.size, 'error': wrong / self._sample.size}

  def statistics(self, params: Any, batch_stats: Any) -> Any:
    """The mean of the batch statistics of the sample's whole batches.

    Args:
      params: parameters of the net.
      batch_stats: statistics of the net; those that are not of a batch normalisation are kept.
    """
    images = self._whole_batches.images
    measured = [self._measure_statistics(params, batch_stats, batch) for batch in images]
    return jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *measured)


def _store_batch_statistics(
  call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
) -> Any:
  """Replaces the statistics of each batch normalisation by those of its input, then applies it."""
  module: Any = context.module
  if context.method_name == '__call__' and isinstance(module, layers.BatchNorm | nn.BatchNorm):
    mean, variance = layers.batch_statistics(args[0])
    module.put_variable('batch_stats', 'mean', mean)
    module.put_variable('batch_stats', 'var', variance)
  return call(*args, **kwargs)


def measure(run: runner.AnalysedRun, arguments: argparse.Namespace) -> dict[str, Any]:
  """Measures the loss and the error along a line; ready for JSON."""
  surface = Surface(run.model, run.sample)
  params, batch_stats = run.variables['params'], run.variables['batch_stats']
  is_between_nets = arguments.to is not None
  if is_between_nets:
    direction = _difference(run, runner.open_run(arguments.to, arguments, arguments.overrides))
  else:
    direction = jit_in_turn(random_direction)(jax.random.key(arguments.seed), params)
  move = jit_in_turn(
    lambda params, direction, factor: jax.tree.map(
      lambda leaf, change: leaf + factor * change, params, direction
    )
  )
  rows = []
  for position in np.linspace(0.0 if is_between_nets else -1.0, 1.0, arguments.points):
    moved = move(params, direction, np.float32(position))
    statistics = surface.statistics(moved, batch_stats) if is_between_nets else batch_stats
    rows.append({'position': float(position), **surface.at(moved, statistics)})
  to = arguments.to.resolve() if arguments.to else None
  return {'to': to and to.name, 'to_workdir': to and str(to), 'points': rows}


def _difference(run: runner.AnalysedRun, other: runner.AnalysedRun) -> Any:
  """The parameters of another run minus those of a run; InputError if nets or data differ."""
  if other.model != run.model:
    raise InputError(
      f'{other.workdir} holds a {other.name} with other fields than {run.workdir}: there is no '
      'line between nets of different kinds'
    )
  data, other_data = run.experiment.dataset, other.experiment.dataset
  if any(getattr(data, key) != getattr(other_data, key) for key in ('class_names', 'mean', 'std')):
    raise InputError(
      f'{other.workdir} was trained on other data than {run.workdir}, so that the same images are '
      'not normalised as both nets need them'
    )
  return jax.tree.map(jnp.subtract, other.variables['params'], run.variables['params'])


def format_table(results: dict[str, Any]) -> str:
  """Formats the results, one line per point."""
  lines = ['position      loss     error']
  lines += [
    f'{row["position"]:8.2f}{row["loss"]:10.4f}{row["error"]:10.2%}' for row in results['points']
  ]
  return '\n'.join(lines)
