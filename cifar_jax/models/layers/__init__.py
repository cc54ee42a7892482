"""The public names of the layers that families share: `from cifar_jax.models import layers`.

Arrays are `[batch, height, width, channels]`. Parameters, batch statistics and gates are float32;
activations have the model's `dtype`. Each file holds one idea:

  residual.py            the residual sum: shortcut + gate * branch, with other gates backward
  residual_net.py        what the residual families have in common: fields, gates, stages
  stages.py              one block after another; long stages are scanned
  layer.py               the base of layers with parameters
  convolution.py         the convolution; `platform_forms.py` chooses its form: `onednn/` on CPUs,
                         or where that cannot be used `cpu_conv.py`
  normalization.py       batch normalisation
  stochastic_depth.py, shake_drop.py, squeeze_excitation.py    the papers' additions to a block
  shortcuts.py, pooling.py, heads.py, activations.py, initializers.py      small parts
  field_checks.py        checks of a model's fields
"""

from cifar_jax.models.layers.activations import dropout, local_response_norm, relu, swish
from cifar_jax.models.layers.convolution import Conv, conv, conv1x1, conv3x3
from cifar_jax.models.layers.dtypes import Dtype
from cifar_jax.models.layers.field_checks import blocks_per_stage, check_fraction, check_one_of
from cifar_jax.models.layers.heads import check_classifier, classifier, head, logits
from cifar_jax.models.layers.initializers import (
  he_fan_in,
  he_fan_out,
  normal_001,
  shapes_only,
  uniform_fan_in,
  variance_scaling,
  xavier_uniform,
)
from cifar_jax.models.layers.layer import Layer
from cifar_jax.models.layers.normalization import (
  BatchNorm,
  Moments,
  NoNorm,
  Norm,
  batch_norm,
  batch_statistics,
)
from cifar_jax.models.layers.platform_forms import (
  compute_once,
  convolve,
  forms_for,
  library_of_convolutions,
  plain_forms,
)
from cifar_jax.models.layers.pooling import average_pool, global_average, max_pool
from cifar_jax.models.layers.residual import (
  Gates,
  compute_if_open,
  residual_add,
  residual_sum,
)
from cifar_jax.models.layers.residual_net import ResidualBlock, ResidualNet
from cifar_jax.models.layers.shake_drop import (
  check_shake_drop,
  draw_shake_drop_gates,
  shake_drop_gates,
)
from cifar_jax.models.layers.shortcuts import pad_channels, subsample
from cifar_jax.models.layers.squeeze_excitation import SqueezeExcitation
from cifar_jax.models.layers.stages import run_stages
from cifar_jax.models.layers.stochastic_depth import (
  check_survival,
  survival_gates,
  survival_probabilities,
)

__all__ = [
  'BatchNorm', 'Conv', 'Dtype', 'Gates', 'Layer', 'Moments', 'NoNorm', 'Norm', 'ResidualBlock',
  'ResidualNet', 'SqueezeExcitation', 'average_pool', 'batch_norm', 'batch_statistics',
  'blocks_per_stage', 'check_classifier', 'check_fraction', 'check_one_of', 'check_shake_drop',
  'check_survival', 'classifier', 'compute_if_open', 'compute_once', 'conv', 'conv1x1', 'conv3x3',
  'convolve', 'draw_shake_drop_gates', 'dropout', 'forms_for', 'global_average', 'he_fan_in',
  'he_fan_out', 'head', 'library_of_convolutions', 'local_response_norm', 'logits', 'max_pool',
  'normal_001', 'pad_channels', 'plain_forms', 'relu', 'residual_add', 'residual_sum', 'run_stages',
  'shake_drop_gates', 'shapes_only', 'subsample', 'survival_gates', 'survival_probabilities',
  'swish', 'uniform_fan_in', 'variance_scaling', 'xavier_uniform',
]  # fmt: skip
