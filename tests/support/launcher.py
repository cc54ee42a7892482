"""Starts `python -m cifar_jax.main` in a new process, and reads the records of its run."""

import os
import pathlib
import subprocess
import sys

from cifar_jax.runs.results import METRICS, Record, read_records
from tests.support.paths import ROOT

ARGUMENTS = 'depth=8,epochs=4,schedule=cosine'


class Launcher:
  """Starts the command on the small CIFAR-10: 200 training images, batches of 20, four epochs.

  Attributes:
    tensorflow_import: a file that exists only if a command has imported TensorFlow.
  """

  def __init__(self, data_dir: pathlib.Path, scratch: pathlib.Path) -> None:
    """Prepares the environment of the commands.

    Args:
      data_dir: the directory of the small CIFAR-10.
      scratch: a folder for a fake TensorFlow, which no command may import.
    """
    self._data_dir = data_dir
    self.tensorflow_import = scratch / 'imported'
    (scratch / 'tensorflow').mkdir()
    (scratch / 'tensorflow' / '__init__.py').write_text(
      f'open({str(self.tensorflow_import)!r}, "w"); raise ImportError("TensorFlow was imported")'
    )
    self._environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(scratch), str(ROOT)])}

  def start(self, run: pathlib.Path, *overrides: str) -> subprocess.Popen[str]:
    """Starts the command in the workdir `run`; its standard error goes to a pipe."""
    return subprocess.Popen(
      [
        *(sys.executable, '-m', 'cifar_jax.main', '--workdir', str(run)),
        *('--config', f'{ROOT / "configs/resnet.py"}:{ARGUMENTS}'),
        *('--config.sharding.num_devices=1', '--config.data.validation_size=40'),
        *('--config.train.batch_size=20', '--config.train.log_every_steps=4'),
        *('--config.checkpoint.every_steps=3', f'--config.data.data_dir={self._data_dir}'),
        *overrides,
      ],
      env=self._environment,
      stderr=subprocess.PIPE,
      text=True,
    )

  def finish(self, run: pathlib.Path, *overrides: str) -> tuple[int, str]:
    """Runs the command to its end; returns its exit status and standard error."""
    process = self.start(run, *overrides)
    _, err = process.communicate()
    return process.returncode, err


def records_without_speed(run: pathlib.Path) -> list[Record]:
  """The records of a run without `images_per_second`, which differs from run to run."""
  return [
    {name: value for name, value in record.items() if name != 'images_per_second'}
    for record in read_records(run)
  ]


def num_records(run: pathlib.Path) -> int:
  """The number of records of a run so far."""
  return len(read_records(run)) if (run / METRICS).exists() else 0
