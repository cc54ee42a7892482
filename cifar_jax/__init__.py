"""The convolutional networks that conquered CIFAR-10, exact and reproducible, in JAX and Flax.

One run is a pure function of its configuration and seed. From the command to the gradient:

  main.py        the command line
  config.py      the base configuration; `configs/` has the papers' recipes
  train.py       a run from its first session to its last
  experiment.py  a configuration, made into the parts of a run
  loop.py        steps, records, evaluations and checkpoints, in their order
  step.py        one step of training, of evaluation, of prediction
  order.py       which images a step takes
  augment.py     what happens to them
  models/        `layers.py` with the residual seam, then one file a family

Beside it: `data/` (any data set as arrays), `optimizer.py`, `losses.py`, `metrics.py`, `state.py`,
`sharding.py`, `checkpoint.py`, `records.py`, `report/`. On finished runs: `evaluate.py`,
`compare.py` and `predict.py`, by `restore.py`, `ensemble.py`, `views.py`, `scores.py` and
`verdict.py`, with `predictions.py` for files.

From a notebook::

  from cifar_jax import config, models
  model = models.create('pyramidnet110_a48')
  settings = config.load('configs/pyramidnet.py:depth=164,alpha=84')
"""
