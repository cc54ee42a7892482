"""Trains a small net of each family for 200 steps on real images, to see that its loss falls.

  python -m benchmarks.first_steps --data-dir DATA

Each net passes through all parts of a run: configuration, data, augmentation, jitted step. It has
its family's recipe, but another batch size, a constant learning rate and another length. Prints a
line per net, with the mean training loss of the first and last 20 steps, and adds it to
`results/first_steps.json`, in place of an earlier line of the same family.
"""

import argparse
import pathlib
import sys
import time
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks import result_file
from cifar_jax import models
from cifar_jax.config import loading
from cifar_jax.experiment import Experiment, metrics
from cifar_jax.experiment.epoch_order import order_of_epoch
from cifar_jax.experiment.experiment import build
from cifar_jax.experiment.state import initial_state
from cifar_jax.experiment.train_step import make_reset_means, make_train_step
from cifar_jax.runtime.devices import replicate

RESULT = result_file.FOLDER / 'first_steps.json'
CONFIGS = result_file.ROOT / 'configs'
# By family: a net that two cores train in a minute, its fields, and the learning rate.
NETS: dict[str, tuple[str, dict[str, Any], float]] = {
  'alexnet': ('alexnet', {}, 0.01),
  'vgg': ('vgg11_bn', {}, 0.02),
  'googlenet': ('googlenet', {'width': 0.25}, 0.05),
  'plain_net': ('plain20', {}, 0.05),
  'resnet': ('resnet20', {}, 0.1),
  'preact_resnet': ('preact_resnet20', {}, 0.1),
  'stochastic_depth': ('resnet20', {'survival_probability': 0.5}, 0.1),
  'wide_resnet': ('wrn_16_2', {'dropout': 0.3}, 0.1),
  'resnext': ('resnext_11_4x8d', {}, 0.1),
  'se_resnet': ('se_resnet20', {}, 0.1),
  'densenet': ('densenet_bc_40_12', {}, 0.1),
  'fractalnet': ('fractalnet10_w16', {}, 0.02),
  'pyramidnet': ('pyramidnet20_a24', {'shake_drop': 'batch', 'survival_probability': 0.5}, 0.1),
  'shake_shake': ('shake_shake_14_2x16d', {}, 0.1),
  # At 0.1, the recipe's rate for batches of 128, the loss explodes with oneDNN as with XLA.
  'deformable': ('deformable_resnet20', {}, 0.02),
  'efficientnet': ('efficientnet_b0', {'width': 0.5, 'depth': 0.5}, 0.05),
}


def main() -> None:
  """Trains a net of each family of the command line, by default of all."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('families', nargs='*', default=list(NETS))
  parser.add_argument('--data-dir', required=True)
  parser.add_argument('--steps', type=int, default=200)
  parser.add_argument('--batch-size', type=int, default=32)
  arguments = parser.parse_args()
  origin = result_file.origin('first_steps', {arguments.data_dir: 'DATA'})
  rows = {row['family']: row for row in result_file.read_rows(RESULT)}
  for family in arguments.families:
    rows[family] = train(family, arguments) | {'commit': origin['commit']}
    result_file.print_row(rows[family])
    result_file.write(RESULT, origin | {'rows': list(rows.values())})
  if not all(row['last_loss'] < row['first_loss'] for row in rows.values()):
    sys.exit('the loss of some net does not fall')


def train(family: str, arguments: argparse.Namespace) -> dict[str, Any]:
  """Trains a net; returns its row, with losses in nats and seconds that include compilation."""
  name, fields, learning_rate = NETS[family]
  start = time.perf_counter()
  experiment = make_experiment(
    family,
    {'name': name, 'dtype': 'float32', **fields},
    learning_rate,
    arguments.data_dir,
    arguments.batch_size,
  )
  state, train_step = initial_state(experiment), make_train_step(experiment)
  reset = make_reset_means(experiment.mesh)
  split = experiment.dataset.train
  images, labels = replicate((split.images, split.labels), experiment.mesh)
  epoch_order = order_of_epoch(experiment.key, jnp.int32(0), len(split))
  losses = []
  for _ in range(arguments.steps):
    state = train_step(state, experiment.key, images, labels, epoch_order)
    losses.append(metrics.read(state.means, experiment.dataset.num_classes)['loss'])
    state = reset(state)
  return {
    'family': family,
    'model': name,
    'fields': fields,
    'num_params': models.count(state.params),
    'steps': arguments.steps,
    'learning_rate': learning_rate,
    'first_loss': round(float(np.mean(losses[:20])), 3),
    'last_loss': round(float(np.mean(losses[-20:])), 3),
    'seconds': round(time.perf_counter() - start, 1),
  }


def make_experiment(
  family: str,
  model: dict[str, Any],
  learning_rate: float,
  data_dir: str | pathlib.Path,
  batch_size: int,
  validation_size: int = 5000,
) -> Experiment:
  """Returns a family's recipe with another net, a constant learning rate and one epoch.

  Args:
    family: name of a file in `configs/`.
    model: the section `model`.
    learning_rate: of all steps.
    data_dir: directory of CIFAR-10.
    batch_size: number of images of a step.
    validation_size: number of training images that are held out.
  """
  settings = loading.load(str(CONFIGS / f'{family}.py'))
  settings.model = model
  settings.schedule.update(name='constant', learning_rate=learning_rate, warmup_epochs=0.0)
  settings.data.update(data_dir=str(data_dir), image_size=0, validation_size=validation_size)
  settings.train.update(batch_size=batch_size, num_epochs=1)
  return build(settings)


if __name__ == '__main__':
  main()
