"""Converts weights to and from PyTorch: names, layouts and batch statistics.

A state_dict is a mapping of dotted names to NumPy arrays, or the path of a file of them:
safetensors, or a checkpoint of PyTorch, of which nothing is run. With the rules `own` its names are
those of our layers (`stage1_block1.conv1.weight`). With other rules they are those of a public
implementation, so that its weights give our nets its logits.

  variables = convert.to_variables('resnet20.safetensors', model, rules='pytorchcv')
  logits = model.apply(variables, images, train=False)
"""

from typing import TYPE_CHECKING

from cifar_jax.lazy_exports import lazy_exports

if TYPE_CHECKING:
  from cifar_jax.convert.engine import compare, to_state_dict, to_variables
  from cifar_jax.convert.report import Misshapen, Report
  from cifar_jax.convert.stages import stack, unstack

__all__ = [
  'Misshapen',
  'Report',
  'compare',
  'stack',
  'to_state_dict',
  'to_variables',
  'unstack',
]
__getattr__ = lazy_exports(
  __name__,
  {
    'engine': ('compare', 'to_state_dict', 'to_variables'),
    'report': ('Misshapen', 'Report'),
    'stages': ('stack', 'unstack'),
  },
)
