"""Activations and gradients in a net by layer, before and after training.

For each convolution, in the order of computation: the mean and the variance of its output after the
norm, which is the input of the ReLU; the fraction of its channels that are dead (not above zero at
any pixel of any image of the sample, so that a ReLU outputs only zeros); and the norm of the loss's
gradient with respect to its kernel. The training error of plain nets grows with depth, the
degradation of He et al. 2015, arXiv 1512.03385, section 4.1; this analysis shows its activations
and gradients beside those of residual nets.

Activations are those of evaluation. Before training, the running statistics are 0 and 1, so that
norms do not change what the initialisation makes of the images. Gradients are those of a training
step on the first batch of the sample.
"""

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.analysis import runner
from cifar_jax.analysis.intermediates import Path, record_outputs
from cifar_jax.analysis.module_names import is_scanned, norm_of
from cifar_jax.analysis.sample import PADDING, Sample
from cifar_jax.analysis.training_mode import apply_in_training_mode
from cifar_jax.errors import InputError
from cifar_jax.experiment.state import initial_state
from cifar_jax.models import layers
from cifar_jax.runtime.devices import jit_in_turn


def convolutions(net: nn.Module, variables: Any, image_shape: tuple[int, ...]) -> list[Path]:
  """The paths of a net's convolutions, in the order of computation.

  Args:
    net: a `models.classifier.Classifier`.
    variables: parameters and statistics of the net; shapes are enough.
    image_shape: height, width and channels.

  Raises:
    InputError: a stage is scanned, so that several layers share one path.
  """
  order: list[Path] = []

  def note_convolution(
    call: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    context: nn.module.InterceptorContext,
  ) -> Any:
    if context.method_name == '__call__' and isinstance(context.module, nn.Conv | layers.Conv):
      order.append(context.module.path)
    return call(*arguments, **keywords)

  with nn.intercept_methods(note_convolution):
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    jax.eval_shape(functools.partial(net.apply, train=False), variables, images)
  if any(is_scanned(name) for path in order for name in path):
    raise InputError('the layers of a scanned stage are stacked; take a net of fewer blocks')
  return order


def norm_path(convolution: Path, batch_stats: Any) -> Path | None:
  """The path of the batch normalisation of a convolution; None if it has none.

  In pre-activation nets, the norm of this name comes before the convolution.
  """
  path = (*convolution[:-1], norm_of(convolution[-1]))
  tree = batch_stats
  for name in path:
    tree = tree.get(name, {})
  return path if tree else None


def output_moments(
  net: nn.Module, paths: tuple[Path, ...], variables: Any, images: jax.Array, counts: jax.Array
) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
  """Moments of the outputs of some modules, over the images and pixels of a batch.

  Args:
    net: in evaluation, with its running statistics.
    paths: paths of the modules.
    variables: parameters and statistics of the net.
    images: float32 `[batch, height, width, channels]`, normalised.
    counts: bool `[batch]`, False for images that do not count.

  Returns:
    For each module: the mean over the pixels and channels and the mean square, both summed over the
    images, scalars; and the maximum of each channel, `[channels]`.
  """
  outputs = record_outputs(net, paths, variables, images)
  counts = counts[:, None, None, None]
  moments = []
  for x in (outputs[path] for path in paths):
    counted, pixels = jnp.where(counts, x, 0.0), x[0].size
    maxima = jnp.max(jnp.where(counts, x, -jnp.inf), axis=(0, 1, 2))
    moments.append((jnp.sum(counted) / pixels, jnp.sum(counted**2) / pixels, maxima))
  return moments


def gradient_norms(net: nn.Module, variables: Any, images: jax.Array, labels: jax.Array) -> Any:
  """Norms of the gradient of the mean cross-entropy (in nats).

  Args:
    net: in training mode: normalised by the batch, with one draw of its random choices.
    variables: parameters and statistics of the net.
    images: float32 `[batch, height, width, channels]`, normalised.
    labels: int32 `[batch]`.

  Returns:
    A tree like the parameters, with a scalar for each array.
  """

  def loss(params: Any) -> jax.Array:
    logits, _ = apply_in_training_mode(net, {**variables, 'params': params}, images)
    log_probabilities = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(log_probabilities, labels[:, None], axis=1))

  gradient = jax.grad(loss)(variables['params'])
  return jax.tree.map(lambda leaf: jnp.linalg.norm(leaf.ravel()), gradient)


def measure_layers(
  net: nn.Module, states: Sequence[Any], sample: Sample
) -> list[list[dict[str, Any]]]:
  """Measures each convolution of a net in some states, in the order of computation.

  Args:
    net: a `models.classifier.Classifier`.
    states: for each state parameters and statistics of the net.
    sample: the images. The gradient is that of the first batch, which is not padded.

  Returns:
    For each state a dictionary for each convolution: its `name`; `mean`, `variance` and `dead`
    (fraction of the channels, in [0, 1]) of its output, after its norm if it has one; and
    `gradient`, the norm of the gradient with respect to its kernel.
  """
  paths = convolutions(net, states[0], sample.images[0].shape[1:])
  outputs = tuple(norm_path(path, states[0]['batch_stats']) or path for path in paths)
  # Compiled anew in each analysis: a net that a notebook has changed may equal the one before.
  norms = jit_in_turn(functools.partial(gradient_norms, net))
  moments = jit_in_turn(functools.partial(output_moments, net, outputs))
  return [
    _describe(
      paths,
      norms(variables, *sample.first_whole_batch()),
      [moments(variables, images, labels != PADDING) for images, labels in sample],
      sample.size,
    )
    for variables in states
  ]


def _describe(
  paths: Sequence[Path], gradients: Any, moments: Sequence[Any], num_images: int
) -> list[dict[str, Any]]:
  """The dictionaries of `measure_layers` for one state.

  Args:
    paths: of the convolutions.
    gradients: of `gradient_norms`.
    moments: of `output_moments`, for each batch.
    num_images: in all batches.
  """
  rows = []
  for i, path in enumerate(paths):
    means, squares, maxima = zip(*(batch[i] for batch in moments), strict=True)
    mean, square = float(np.sum(means)) / num_images, float(np.sum(squares)) / num_images
    rows.append({
      'name': '/'.join(path),
      'mean': mean,
      'variance': square - mean**2,
      'dead': float(np.mean(np.max(maxima, axis=0) <= 0)),
      'gradient': float(functools.reduce(dict.__getitem__, path, gradients)['kernel']),
    })  # fmt: skip
  return rows


def measure(run: runner.AnalysedRun, arguments: argparse.Namespace) -> dict[str, Any]:
  """Measures the layers of a run's net before and after training; ready for JSON."""
  del arguments
  initial = initial_state(run.experiment)
  untrained = {'params': initial.params, 'batch_stats': initial.batch_stats}
  before, after = measure_layers(run.model, [untrained, run.variables], run.sample)
  return {'before': before, 'after': after}


def format_table(results: dict[str, Any]) -> str:
  """Formats the results, one line per layer, before and after training."""
  gap = ' ' * 14
  columns = f'{"variance":>12}{"dead":>8}{"gradient":>12}'
  lines = [
    f'{"":28}{"before training":>32}{gap}{"after training":>32}',
    f'{"layer":28}{columns}{gap}{columns}',
  ]
  for before, after in zip(results['before'], results['after'], strict=True):
    values = [
      f'{row["variance"]:12.3g}{row["dead"]:8.1%}{row["gradient"]:12.2e}' for row in (before, after)
    ]
    lines.append(f'{before["name"]:28}' + gap.join(values))
  return '\n'.join(lines)
