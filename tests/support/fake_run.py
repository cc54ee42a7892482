"""A run on disk without training: a small net filled by a formula, and its checkpoints."""

import pathlib

import jax
import jax.numpy as jnp

from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.data.dataset import fingerprint
from cifar_jax.experiment.experiment import build
from cifar_jax.experiment.state import abstract_state
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import CHECKPOINTS, CONFIG
from tests.support.filled import filled_variables
from tests.support.paths import ROOT

RESNET = ROOT / 'configs' / 'resnet.py'


def make(
  run: pathlib.Path,
  data_dir: pathlib.Path,
  *overrides: str,
  steps: tuple[int, ...] = (3,),
  sharpness: float = 1.0,
  recipe: str = f'{RESNET}:depth=8,schedule=cosine',
) -> pathlib.Path:
  """Writes a run, by default with a ResNet-8.

  Args:
    run: the workdir, which is created.
    data_dir: directory of the data.
    *overrides: `SECTION.KEY=VALUE`, changes of the configuration.
    steps: steps of the checkpoints; each has a lower validation accuracy than the one before.
    sharpness: factor of the last layer, for a net with other logits.
    recipe: `FILE.py:ARGUMENTS`, the configuration that is changed.

  Returns:
    The workdir.
  """
  config = loading.load(recipe)
  words = [f'data.data_dir={data_dir}', 'data.validation_size=40', 'train.batch_size=20']
  words += ['sharding.num_devices=1', 'checkpoint.keep_last=5', *overrides]
  override(config, [f'--config.{word}' for word in words])
  run.mkdir()
  (run / CONFIG).write_text(loading.to_json(config))
  experiment = build(config)
  empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), abstract_state(experiment))
  filled = filled_variables(experiment.model)
  filled['params']['head'] = jax.tree.map(lambda x: x * sharpness, filled['params']['head'])
  run_info = {'seconds': 0.0, 'commits': [], 'data': fingerprint(experiment.dataset)}
  with Checkpoints(run / CHECKPOINTS, experiment.checkpoint_settings) as checkpoints:
    for rank, step in enumerate(steps):
      state = empty.replace(step=jnp.int32(step), **filled)
      checkpoints.save(step, state, run_info=run_info, accuracy=0.5 - 0.1 * rank)
  return run
