"""The convolutional networks that conquered CIFAR-10, exact and reproducible, in JAX and Flax.

A run is a pure function of its configuration and seed, up to the rounding of its hardware. The way
from the command to the gradient:

  main.py                        the command line
  config/                        what a run is made of, key by key; `configs/` has the recipes
  train/session.py, loop.py      the order of operations
  experiment/experiment.py       a configuration made into model, data, loss and optimizer
  experiment/train_step.py       one training step, with its gradient
  models/resnet.py               a model; one file per family
  models/layers/                 what the families share, above all the residual seam

The other rooms, from the ground up: `runtime/` (devices, processes, signals), `runs/` (files of a
run), `data/`, `augment/`, `optim/`, `models/cost/`, `convert/` (weights from PyTorch), `report/`
(pages and pictures), `evaluation/`, `analysis/`, `study/`. `tests/test_imports.py` states which
room may import which.

From a notebook::

  from cifar_jax import config, models
  model = models.create('pyramidnet110_a48')
  settings = config.load('configs/pyramidnet.py:depth=164,alpha=84')
"""

from cifar_jax.runtime import xla_flags

xla_flags.prepare_on_import()
