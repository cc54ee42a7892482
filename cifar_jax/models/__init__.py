"""The models: from a name, as the papers write it, to a Flax module.

`create('wrn_28_10', num_classes=100)` makes a module. Its `apply(variables, images, train=False)`
returns float32 logits `[batch, num_classes]`. `registry.py` has the functions, and each family one
file. `register` registers a family, of the package or of a user's own module.
"""

from typing import TYPE_CHECKING

from cifar_jax.lazy_exports import lazy_exports

if TYPE_CHECKING:
  from cifar_jax.models.families import register
  from cifar_jax.models.registry import (
    DTYPES,
    FAMILIES,
    NAMES,
    abstract_variables,
    count,
    count_by_part,
    create,
    family_of,
    is_loaded,
    module_of,
    num_params,
    own_family,
    published,
    published_error,
  )

__all__ = [
  'DTYPES',
  'FAMILIES',
  'FAMILY_NAMES',
  'NAMES',
  'abstract_variables',
  'count',
  'count_by_part',
  'create',
  'family_of',
  'is_loaded',
  'module_of',
  'num_params',
  'own_family',
  'published',
  'published_error',
  'register',
]

# The files of the families, in the order of the table of models.
FAMILY_NAMES = (
  'alexnet',
  'vgg',
  'googlenet',
  'resnet',
  'preact_resnet',
  'wide_resnet',
  'resnext',
  'densenet',
  'fractalnet',
  'pyramidnet',
  'shake_shake',
  'shake_shake_resnext',
  'deformable',
  'efficientnet',
  'speed_net',
)
__getattr__ = lazy_exports(
  __name__,
  {'families': ('register',), 'registry': tuple(set(__all__) - {'FAMILY_NAMES', 'register'})},
)
