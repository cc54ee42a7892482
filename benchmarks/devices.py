"""An epoch on real images with 1, 2, 4 and 8 virtual devices: do they give the same metrics?

  python benchmarks/devices.py --data-dir DATA

Each is a run of the command of its own. The rate is low, since at a high one training itself
multiplies the rounding from step to step. Prints how far the records of each are from those of one
device, and writes `results/devices.json`.
"""

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
from typing import Any

from cifar_jax import provenance
from cifar_jax.report import runs

ROOT = pathlib.Path(__file__).parent.parent
RESULT = ROOT / 'benchmarks' / 'results' / 'devices.json'
DEVICES = (1, 2, 4, 8)
OVERRIDES = {
  'schedule.learning_rate': 0.005,
  'data.images_per_class': 1000,
  'data.validation_size': 1000,
  'train.log_every_steps': 10,
}


def main() -> None:
  """Runs with each number of devices and compares."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data-dir', required=True)
  data_dir = parser.parse_args().data_dir
  with tempfile.TemporaryDirectory() as scratch:
    records = {n: run(pathlib.Path(scratch) / str(n), n, data_dir) for n in DEVICES}
  rows = [{'num_devices': n} | differences(records[1], records[n]) for n in DEVICES[1:]]
  told = provenance.describe(1)
  told['command'] = shlex.join(['python', 'benchmarks/devices.py', '--data-dir', 'DATA'])
  told |= {'overrides': OVERRIDES, 'of_one_device': records[1][-1], 'rows': rows}
  RESULT.write_text(json.dumps(told, indent=2) + '\n')


def run(workdir: pathlib.Path, num_devices: int, data_dir: str) -> list[dict[str, Any]]:
  """The records of one epoch of ResNet-8, those of training, validation and test."""
  flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={num_devices}'
  overrides = OVERRIDES | {'data.data_dir': data_dir, 'sharding.num_devices': num_devices}
  command = [sys.executable, '-m', 'cifar_jax.main', '--workdir', str(workdir)]
  command += ['--config', f'{ROOT / "configs/resnet.py"}:depth=8,epochs=1,schedule=constant']
  command += [f'--config.{key}={value}' for key, value in overrides.items()]
  environment = os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}
  subprocess.run(command, env=environment, check=True)
  return runs.read_records(workdir)


def differences(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, Any]:
  """The largest relative difference of a loss, and the largest of an accuracy, in images of it."""
  pairs = list(zip(one, other, strict=True))
  assert all((a['step'], a['split']) == (b['step'], b['split']) for a, b in pairs)
  found = {
    'records': len(pairs),
    'largest_relative_difference_of_loss': max(abs(b['loss'] / a['loss'] - 1) for a, b in pairs),
    'largest_difference_of_accuracy': max(abs(b['accuracy'] - a['accuracy']) for a, b in pairs),
    'test_accuracy': other[-1]['accuracy'],
  }
  print(*(f'{key} {value}' for key, value in found.items()), flush=True)
  return found


if __name__ == '__main__':
  main()
