"""Deletes residual blocks, or layers of nets without shortcuts, from a trained net.

A residual block is deleted by closing its branch, so that its input passes through the shortcut.
In a net without shortcuts (VGG, plain nets) the layer or block is bypassed: its input replaces its
output, with every second pixel where the stride is 2, and with zero channels in place of new ones.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.analysis.gates import block_names, close_gates, gates_at_test_time
from cifar_jax.analysis.module_names import by_numbers, norm_of
from cifar_jax.models import layers
from cifar_jax.models.classifier import Gated, image_size

Variables = Mapping[str, Any]  # the collections `params` and `batch_stats`


class Units(NamedTuple):
  """The blocks or layers of a net that can be deleted.

  Attributes:
    names: their names, in the order of the net.
    logits: `(variables, images, is_present) -> [batch, num_classes]`, where `is_present`, float32
      `[units]`, is 0 for a deleted unit and 1 for the rest.
  """

  names: list[str]
  logits: Callable[[Variables, jax.Array, jax.Array], jax.Array]


def deletable_units(net: nn.Module, variables: Variables) -> Units:
  """The residual blocks of a net, the blocks of a plain net or the convolutions of a VGG.

  Raises:
    InputError: a net of another kind.
  """
  names = list(variables['params'])
  if any(re.fullmatch(r'stage\d+_conv\d+', name) for name in names):  # VGG
    return _bypassed_units(net, [name for name in names if '_conv' in name])
  if isinstance(net, Gated) and not net.has_shortcuts:
    return _bypassed_units(net, [name for name in names if '_block' in name])
  gates = gates_at_test_time(net)

  def logits(variables: Variables, images: jax.Array, is_present: jax.Array) -> Any:
    return net.apply(variables, images, train=False, gates=close_gates(gates, is_present))

  return Units(block_names(net, variables['params']), logits)


def down_sampling(net: nn.Module, variables: Variables, names: list[str]) -> list[bool]:
  """Whether each unit reduces the resolution.

  Args:
    net: a `models.classifier.Classifier`.
    variables: parameters and statistics of the net; shapes are enough.
    names: the units, from `deletable_units`. Blocks of a scanned run do not reduce the resolution.
  """
  reduces = dict.fromkeys(names, False)

  def note_sizes(
    call: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    context: nn.module.InterceptorContext,
  ) -> Any:
    output = call(*arguments, **keywords)
    path = context.module.path
    if context.method_name == '__call__' and len(path) == 1 and path[0] in reduces:
      reduces[path[0]] = output.shape[1] < arguments[0].shape[1]
    return output

  size = image_size(net)
  with nn.intercept_methods(note_sizes):
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    jax.eval_shape(functools.partial(net.apply, train=False), variables, images)
  return list(reduces.values())


def _bypassed_units(net: nn.Module, names: list[str]) -> Units:
  """Units that are deleted by replacing a module's output by its input."""
  names = sorted(names, key=by_numbers)
  # The norm of a convolution is deleted with it. The name of a block has no `conv` to replace.
  index = {module: i for i, name in enumerate(names) for module in (name, norm_of(name))}

  def logits(variables: Variables, images: jax.Array, is_present: jax.Array) -> Any:
    def bypass(
      call: Callable[..., Any],
      arguments: tuple[Any, ...],
      keywords: dict[str, Any],
      context: nn.module.InterceptorContext,
    ) -> Any:
      output = call(*arguments, **keywords)
      path = context.module.path
      if context.method_name != '__call__' or len(path) != 1 or path[0] not in index:
        return output
      stride = arguments[0].shape[1] // output.shape[1]
      bypassed = layers.subsample(arguments[0], stride)
      bypassed = layers.pad_channels(bypassed, output.shape[-1])
      return jnp.where(is_present[index[path[0]]] > 0, output, bypassed)

    with nn.intercept_methods(bypass):
      return net.apply(variables, images, train=False)

  return Units(names, logits)
