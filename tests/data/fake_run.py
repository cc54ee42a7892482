"""A run on disk without a training: a small net filled by formula, with its checkpoints."""

import pathlib

import jax
import jax.numpy as jnp
from data.filled import variables

from cifar_jax import checkpoint, config, experiment, workdir

RESNET = pathlib.Path(__file__).parent.parent.parent / 'configs' / 'resnet.py'


def make(
  run: pathlib.Path,
  data_dir: pathlib.Path,
  *overrides: str,
  steps: tuple[int, ...] = (3,),
  sharpness: float = 1.0,
) -> pathlib.Path:
  """Writes a run with a ResNet-8.

  Args:
    run: its workdir, made.
    data_dir: of the data.
    *overrides: of its configuration.
    steps: at which it has checkpoints, whose validation accuracy falls from one to the next.
    sharpness: factor of its last layer, to make another net of it.
  """
  settings = config.load(f'{RESNET}:depth=8,schedule=cosine')
  words = [f'data.data_dir={data_dir}', 'data.validation_size=40', 'train.batch_size=20']
  words += ['sharding.num_devices=1', 'checkpoint.keep_last=5', *overrides]
  config.override(settings, [f'--config.{word}' for word in words])
  run.mkdir()
  (run / workdir.CONFIG).write_text(config.to_json(settings))
  parts = experiment.build(settings)
  empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), experiment.abstract_state(parts))
  filled = variables(parts.model)
  filled['params']['head'] = jax.tree.map(lambda x: x * sharpness, filled['params']['head'])
  told = {'seconds': 0.0, 'commits': [], 'data': experiment.fingerprint(parts.dataset)}
  with checkpoint.Checkpoints(run / workdir.CHECKPOINTS, parts.checkpoints) as checkpoints:
    for rank, step in enumerate(steps):
      state = empty.replace(step=jnp.int32(step), **filled)
      checkpoints.save(step, state, run=told, accuracy=0.5 - 0.1 * rank)
  return run
