"""How signal and gradient travel through a net, before and after training.

For each layer in the order it is computed: the mean and the variance of what its convolution and
norm give (what the ReLU sees), the share of its channels that are dead (nowhere above zero, on no
image of the sample, so that a ReLU never lets them through), and the norm of the loss's gradient by
its kernel. Deeper plain nets train worse, the degradation of He et al. 2015, arXiv 1512.03385,
section 4.1; here is what it looks like beside residual ones.

Activations are those of evaluation: before training, the running statistics are 0 and 1, and norms
pass on what the initialisation gives. Gradients are those of a training step.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax import experiment
from cifar_jax.analysis import command, recording
from cifar_jax.analysis.recording import Path
from cifar_jax.analysis.sample import Sample
from cifar_jax.errors import InputError
from cifar_jax.models.convolution import Conv
from cifar_jax.report import activations as report


def convolutions(net: nn.Module, variables: Any, image_shape: tuple[int, ...]) -> list[Path]:
  """The paths of a net's convolutions, in the order they are computed.

  Raises:
    InputError: a stage is scanned, so that its layers are one.
  """
  order: list[Path] = []

  def note(call: Any, arguments: Any, fields: Any, context: Any) -> Any:
    if context.method_name == '__call__' and isinstance(context.module, nn.Conv | Conv):
      order.append(context.module.path)
    return call(*arguments, **fields)

  with nn.intercept_methods(note):
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    jax.eval_shape(functools.partial(net.apply, train=False), variables, images)
  if any(name.endswith('_rest') for path in order for name in path):
    raise InputError('the layers of a scanned stage are stacked; take a net of fewer blocks')
  return order


def norm_after(path: Path, statistics: Any) -> Path | None:
  """The batch normalisation named as the convolution at `path` is, if there is one."""
  norm = (*path[:-1], path[-1].replace('conv', 'norm'))
  tree = statistics
  for name in norm:
    tree = tree.get(name, {})
  return norm if tree else None


@functools.partial(jax.jit, static_argnums=(0, 1))
def signals(net: nn.Module, paths: tuple[Path, ...], variables: Any, images: jax.Array) -> Any:
  """What leaves some modules, summed up over a batch of images and the pixels.

  Args:
    net: evaluated with its running statistics.
    paths: of the modules.
    variables: parameters and statistics.
    images: float32 `[batch, height, width, channels]`, normalised.

  Returns:
    For each path: the mean and the mean square, scalars, and each channel's largest value.
  """
  recorded = recording.results(net, paths, variables, images)
  values = [recorded[path] for path in paths]
  return [(jnp.mean(x), jnp.mean(x**2), jnp.max(x, axis=(0, 1, 2))) for x in values]


@functools.partial(jax.jit, static_argnums=0)
def gradient_norms(net: nn.Module, variables: Any, images: jax.Array, labels: jax.Array) -> Any:
  """The norm of the gradient of the mean cross-entropy (in nats), by each parameter array.

  Args:
    net: in training, so normalised by the batch and with one draw of what it draws.
    variables: parameters and statistics.
    images: float32 `[batch, height, width, channels]`, normalised.
    labels: int32 `[batch]`.

  Returns:
    A tree of scalars, like the parameters.
  """

  def loss(params: Any) -> jax.Array:
    logits, _ = net.apply(
      {**variables, 'params': params},
      images,
      train=True,
      mutable=['batch_stats', 'auxiliary_logits'],
      rngs={'params': jax.random.key(0)},  # stands in for every stream
    )
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -jnp.mean(chosen)

  gradient = jax.grad(loss)(variables['params'])
  return jax.tree.map(lambda leaf: jnp.linalg.norm(leaf.ravel()), gradient)


def by_layer(net: nn.Module, variables: Any, sample: Sample) -> list[dict[str, Any]]:
  """A row for each convolution of a net, in the order they are computed.

  Args:
    net: with convolutions of named paths.
    variables: parameters and statistics.
    sample: its first batch has no padding.

  Returns:
    For each its `name`; `mean`, `variance` and `dead` (a share of the channels, in [0, 1]) of what
    it gives, after its norm if it has one; `gradient`, the norm of that by its kernel.
  """
  convolved = convolutions(net, variables, sample.images[0].shape[1:])
  seen = [norm_after(path, variables['batch_stats']) or path for path in convolved]
  sums = [signals(net, tuple(seen), variables, images) for images, _ in sample]
  gradient = gradient_norms(net, variables, sample.images[0], sample.labels[0])
  rows = []
  for i, path in enumerate(convolved):
    means, squares, largest = zip(*(batch[i] for batch in sums), strict=True)
    mean, square = float(np.mean(means)), float(np.mean(squares))
    rows.append({
      'name': '/'.join(path),
      'mean': mean,
      'variance': square - mean**2,
      'dead': float(np.mean(np.max(largest, axis=0) <= 0)),
      'gradient': float(functools.reduce(dict.__getitem__, path, gradient)['kernel']),
    })  # fmt: skip
  return rows


def measure(opened: command.Opened, arguments: Any) -> dict[str, Any]:
  """The rows of a run's net as it was before training and as it is, ready for JSON."""
  del arguments
  sample = opened.sample.whole_batches()
  initial = experiment.initial_state(opened.parts)
  untrained = {'params': initial.params, 'batch_stats': initial.batch_stats}
  return {
    'num_images': sample.size,
    'before': by_layer(opened.model, untrained, sample),
    'after': by_layer(opened.model, opened.variables, sample),
  }


def text(told: dict[str, Any]) -> str:
  """A line a layer, before and after training."""
  lines = [f'{"":28}{"before training":>32}{"":14}{"after training":>32}',
           f'{"layer":28}' + f'{"variance":>12}{"dead":>8}{"gradient":>12}' + ' ' * 14
           + f'{"variance":>12}{"dead":>8}{"gradient":>12}']  # fmt: skip
  for before, after in zip(told['before'], told['after'], strict=True):
    columns = [
      f'{row["variance"]:12.3g}{row["dead"]:8.1%}{row["gradient"]:12.2e}' for row in (before, after)
    ]
    lines.append(f'{before["name"]:28}' + (' ' * 14).join(columns))
  return '\n'.join(lines)


def main() -> None:
  """Measures activations and gradients by layer, before and after training."""
  parser = command.Parser(prog='python -m cifar_jax.analysis.activations', description=main.__doc__)
  command.analyse('activations', parser, measure, text, report.figure)


if __name__ == '__main__':
  command.run(main)
