"""A small member of each family, trained for 200 steps on real images: does its loss fall?

  python benchmarks/first_steps.py --data-dir DATA

Each net takes the whole path of a run (configuration, data, augmentation, jitted step) with its
family's own recipe but for the batch, the rate, which is constant, and the length. Prints a line a
net, with the mean training loss of the first and last 20 steps, and adds it to
`results/first_steps.json`, in place of an earlier one of the same family.
"""

import argparse
import json
import pathlib
import shlex
import sys
import time
from typing import Any

import jax.numpy as jnp
import numpy as np

from cifar_jax import backend, config, experiment, metrics, models, order, provenance, sharding
from cifar_jax import step as steps

RESULT = pathlib.Path(__file__).parent / 'results' / 'first_steps.json'
CONFIGS = pathlib.Path(__file__).parent.parent / 'configs'
# Family: a member that two cores train in a minute, its own fields, and the learning rate.
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
  'deformable': ('deformable_resnet20', {}, 0.1),
  'efficientnet': ('efficientnet_b0', {'width': 0.5, 'depth': 0.5}, 0.05),
}


def main() -> None:
  """Trains what is named, by default a member of every family."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('families', nargs='*', default=list(NETS))
  parser.add_argument('--data-dir', required=True)
  parser.add_argument('--steps', type=int, default=200)
  parser.add_argument('--batch-size', type=int, default=32)
  arguments = parser.parse_args()
  backend.prepare()
  told = provenance.describe(1)
  command = [word if word != arguments.data_dir else 'DATA' for word in sys.argv[1:]]
  told['command'] = shlex.join(['python', 'benchmarks/first_steps.py', *command])
  rows = json.loads(RESULT.read_text())['rows'] if RESULT.exists() else []
  rows = {row['family']: row for row in rows}
  for family in arguments.families:
    rows[family] = train(family, arguments) | {'commit': told['commit']}
    print(*(f'{key} {value}' for key, value in rows[family].items()), flush=True)
    RESULT.write_text(json.dumps(told | {'rows': list(rows.values())}, indent=2) + '\n')
  if not all(row['last_loss'] < row['first_loss'] for row in rows.values()):
    sys.exit('some loss does not fall')


def train(family: str, arguments: argparse.Namespace) -> dict[str, Any]:
  """One net's row: its losses in nats, and seconds with compilation."""
  name, fields, learning_rate = NETS[family]
  made = config.load(str(CONFIGS / f'{family}.py'))
  made.model = {'name': name, 'dtype': 'float32', **fields}
  made.schedule.update(name='constant', learning_rate=learning_rate, warmup_epochs=0.0)
  made.data.update(data_dir=arguments.data_dir, image_size=0)
  made.train.update(batch_size=arguments.batch_size, num_epochs=1)
  begun = time.perf_counter()
  parts = experiment.build(made)
  state, train_step = experiment.initial_state(parts), experiment.train_step(parts)
  reset = steps.make_reset_means(parts.mesh)
  split = parts.dataset.train
  images, labels = sharding.replicate((split.images, split.labels), parts.mesh)
  epoch_order = order.of_epoch(parts.key, jnp.int32(0), len(split))
  losses = []
  for _ in range(arguments.steps):
    state = train_step(state, parts.key, images, labels, epoch_order)
    losses.append(metrics.read(state.means)['loss'])
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
    'seconds': round(time.perf_counter() - begun, 1),
  }


if __name__ == '__main__':
  main()
