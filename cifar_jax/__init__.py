"""The convolutional networks that conquered CIFAR-10, exact and reproducible, in JAX and Flax.

A run is a pure function of its configuration and seed, up to the rounding of its hardware. The way
from the command to the gradient:

  main.py                        the command line
  config/                        what a run is made of, key by key; `configs/` has the recipes
  training/session.py, loop.py      the order of operations
  experiment/experiment.py       a configuration made into model, data, loss and optimizer
  experiment/train_step.py       one training step
  experiment/gradient.py         loss, forward pass and gradient of a batch
  models/resnet.py               a model; one file per family
  models/layers/                 what the families share, above all the residual seam

The other rooms, from the ground up: `runtime/` (devices, processes, signals), `runs/` (files of a
run), `data/`, `augment/`, `optim/`, `models/cost/`, `convert/` (weights from PyTorch), `report/`
(pages and pictures), `evaluation/`, `analysis/`, `study/`. `tests/test_imports.py` states which
room may import which.

From Python or a notebook::

  import cifar_jax
  run = cifar_jax.train('resnet:depth=8,dataset=shapes', epochs=1)
  run.curves()
  model = cifar_jax.models.create('pyramidnet110_a48')
"""

from typing import TYPE_CHECKING

from cifar_jax.runtime import signals

signals.end_at_interrupt_until_command_runs()  # before the imports that take time

from cifar_jax.lazy_exports import lazy_exports  # noqa: E402
from cifar_jax.runtime import package_code, xla_flags  # noqa: E402, F401

if TYPE_CHECKING:
  from cifar_jax import config, models
  from cifar_jax.run import Run, load_run, train

__all__ = ['Run', 'config', 'load_run', 'models', 'train']
__getattr__ = lazy_exports(__name__, {'run': ('Run', 'load_run', 'train')}, ('config', 'models'))


def __dir__() -> list[str]:
  """What a prompt or a notebook offers after the dot, although it is imported at its first use."""
  return __all__


xla_flags.prepare_on_import()
