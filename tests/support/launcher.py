"""Starts `python -m cifar_jax.main` in a new process, and reads the records of its run."""

import os
import pathlib
import subprocess
import sys

from cifar_jax.runs.results import METRICS, Record, read_records
from tests.support.paths import ROOT

CONFIG = f'{ROOT / "configs/resnet.py"}:depth=8,epochs=2,schedule=cosine'
SETTINGS = ['data.images_per_class=10', 'data.validation_size=40', 'checkpoint.every_steps=3']


class Launcher:
  """Starts the command on the small CIFAR-10: 100 training images, batches of 10, two epochs.

  Attributes:
    overrides: the changes of the recipe `CONFIG`, as arguments.
    tensorflow_import: a file that exists only if a command has imported TensorFlow.
  """

  def __init__(self, data_dir: pathlib.Path, scratch: pathlib.Path) -> None:
    """Prepares the environment of the commands.

    Args:
      data_dir: the directory of the small CIFAR-10.
      scratch: a folder for a fake TensorFlow, which no command may import.
    """
    words = [f'data.data_dir={data_dir}', 'sharding.num_devices=1', 'train.batch_size=10']
    words += ['train.log_every_steps=4', *SETTINGS]
    self.overrides = [f'--config.{word}' for word in words]
    self.tensorflow_import = scratch / 'imported'
    (scratch / 'tensorflow').mkdir()
    (scratch / 'tensorflow' / '__init__.py').write_text(
      f'open({str(self.tensorflow_import)!r}, "w"); raise ImportError("TensorFlow was imported")'
    )
    self._environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(scratch), str(ROOT)])}

  def start(self, run: pathlib.Path) -> subprocess.Popen[str]:
    """Starts the command in the workdir `run`; its standard error goes to a pipe."""
    return subprocess.Popen(
      [
        *(sys.executable, '-m', 'cifar_jax.main', '--workdir', str(run)),
        *('--config', CONFIG, *self.overrides),
      ],
      env=self._environment,
      stderr=subprocess.PIPE,
      text=True,
    )

  def finish(self, run: pathlib.Path) -> tuple[int, str]:
    """Runs the command to its end; returns its exit status and standard error."""
    process = self.start(run)
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
