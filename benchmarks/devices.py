"""Compares the metrics of an epoch on real images with 1, 2, 4 and 8 virtual devices.

  python -m benchmarks.devices --data-dir DATA

Each number of devices is a run of `python -m cifar_jax.main`. The learning rate is low, since at a
high one training itself multiplies the rounding from step to step. Prints how far the records of
each run are from those of one device, and writes `results/devices.json`.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import result_file
from cifar_jax.runs.results import read_records

RESULT = result_file.FOLDER / 'devices.json'
DEVICES = (1, 2, 4, 8)
OVERRIDES = {
  'schedule.learning_rate': 0.005,
  'data.images_per_class': 1000,
  'data.validation_size': 1000,
  'train.log_every_steps': 10,
}
Records = list[dict[str, Any]]


def main() -> None:
  """Runs with each number of devices, compares, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data-dir', required=True)
  data_dir = parser.parse_args().data_dir
  origin = result_file.origin('devices', {data_dir: 'DATA'})
  with tempfile.TemporaryDirectory() as folder:
    records = {n: run(pathlib.Path(folder) / str(n), n, data_dir) for n in DEVICES}
  rows = [{'num_devices': n} | compare(records[1], records[n]) for n in DEVICES[1:]]
  measured = {'overrides': OVERRIDES, 'of_one_device': records[1][-1], 'rows': rows}
  result_file.write(RESULT, origin | measured)


def run(workdir: pathlib.Path, num_devices: int, data_dir: str) -> Records:
  """Trains ResNet-8 for an epoch; returns the records of training, validation and test."""
  flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={num_devices}'
  overrides = OVERRIDES | {'data.data_dir': data_dir, 'sharding.num_devices': num_devices}
  config = result_file.ROOT / 'configs' / 'resnet.py'
  command = [sys.executable, '-m', 'cifar_jax.main', '--workdir', str(workdir)]
  command += ['--config', f'{config}:depth=8,epochs=1,schedule=constant']
  command += [f'--config.{key}={value}' for key, value in overrides.items()]
  environment = os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}
  subprocess.run(command, env=environment, check=True)
  return read_records(workdir)


def compare(reference: Records, records: Records) -> dict[str, Any]:
  """Returns and prints the largest differences of two runs.

  Args:
    reference: records of one device.
    records: records of several, of the same steps and splits.

  Returns:
    The largest relative difference of a loss, the largest difference of an accuracy, and the test
    accuracy of the second run.
  """
  pairs = list(zip(reference, records, strict=True))
  assert all((a['step'], a['split']) == (b['step'], b['split']) for a, b in pairs)
  differences = {
    'records': len(pairs),
    'largest_relative_difference_of_loss': max(abs(b['loss'] / a['loss'] - 1) for a, b in pairs),
    'largest_difference_of_accuracy': max(abs(b['accuracy'] - a['accuracy']) for a, b in pairs),
    'test_accuracy': records[-1]['accuracy'],
  }
  result_file.print_row(differences)
  return differences


if __name__ == '__main__':
  main()
