"""Shows what a power failure leaves of a run: copies its disk, and resumes from each copy.

  python -m benchmarks.power_campaign --copies 10        as root, on Linux

A run writes to an ext4 file system in a file. Now and then, and right after the run has ended, that
file is copied: the copy holds what the disk would hold if the power had failed then. Each copy is
mounted. All its checkpoints must be sound, its result complete or absent, and the same command must
lead to the result of the undisturbed run. Prints a line per copy, and writes
`results/power_campaign.json`.
"""

import argparse
import contextlib
import filecmp
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import result_file
from cifar_jax.runs import checksums
from cifar_jax.runs.results import read_records
from cifar_jax.runs.workdir import CHECKPOINTS
from cifar_jax.training.session import RESULT as RESULT_FILE

RESULT = result_file.FOLDER / 'power_campaign.json'
DISK_MEGABYTES = 256
COMMAND = (
  *('-m', 'cifar_jax.main', '--config', 'configs/resnet.py:depth=8,dataset=shapes,epochs=6'),
  *('--config.data.images_per_class=100', '--config.data.validation_size=200'),
  *('--config.train.batch_size=40', '--config.train.log_every_steps=5'),
  *('--config.checkpoint.every_steps=4', '--config.schedule.name=cosine'),
)


def campaign() -> None:
  """Reads the command line, copies, checks, and writes the result."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--copies', type=int, default=10)
  parser.add_argument('--seed', type=int, default=0, help='of the moments')
  parser.add_argument('--output', type=pathlib.Path, default=RESULT)
  arguments = parser.parse_args()
  origin = result_file.origin('power_campaign')
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    disk = folder / 'disk.img'
    with disk.open('wb') as file:
      file.truncate(DISK_MEGABYTES << 20)
    subprocess.run(['mkfs.ext4', '-q', str(disk)], check=True)
    copies = take_copies(disk, folder, arguments.copies, random.Random(arguments.seed))
    with mounted(disk, folder / 'mount') as mount:
      expected = outcome(mount / 'run')
    rows = [check_copy(copy, folder / 'mount', expected) for copy in copies]
  for row in rows:
    print(json.dumps(row))
  result_file.write(arguments.output, origin | {'command_of_the_run': COMMAND, 'rows': rows})
  if not all(row['is_sound'] and row['is_equal'] for row in rows):
    raise SystemExit('a copy is damaged, or its run ended with another result')


def take_copies(
  disk: pathlib.Path, folder: pathlib.Path, count: int, generator: random.Random
) -> list[pathlib.Path]:
  """Runs the command on a disk until it ends; returns copies of the disk, the last from its end."""
  copies: list[pathlib.Path] = []
  with mounted(disk, folder / 'mount') as mount:
    process = start(mount / 'run', folder / 'compiled')
    while process.poll() is None and len(copies) < count - 1:
      if saved_steps(mount / 'run'):  # there is something to lose
        process.send_signal(signal.SIGSTOP)
        copies.append(copy_of(disk, folder, len(copies)))
        process.send_signal(signal.SIGCONT)
      time.sleep(generator.uniform(0.1, 0.8))
    if process.wait():
      raise SystemExit(f'the run ended with {process.returncode}')
    copies.append(copy_of(disk, folder, len(copies)))
  return copies


def saved_steps(run: pathlib.Path) -> list[int]:
  """Returns the steps whose checkpoints have their final names."""
  return sorted(int(path.name) for path in (run / CHECKPOINTS).glob('*') if path.name.isdigit())


def copy_of(disk: pathlib.Path, folder: pathlib.Path, index: int) -> pathlib.Path:
  """Copies a disk while it is in use, as it is at one moment.

  A disk that is written to during the copy would have some blocks of an earlier and some of a later
  moment, which no power failure leaves. Then it is copied again.
  """
  copy = folder / f'copy{index}.img'
  while True:
    shutil.copyfile(disk, copy)
    if filecmp.cmp(disk, copy, shallow=False):
      return copy


def start(run: pathlib.Path, cache: pathlib.Path) -> subprocess.Popen[bytes]:
  """Starts the command in a workdir."""
  environment = os.environ | {'JAX_COMPILATION_CACHE_DIR': str(cache)}
  return subprocess.Popen(
    [sys.executable, *COMMAND, '--workdir', str(run)],
    cwd=result_file.ROOT,
    env=environment,
    stderr=subprocess.DEVNULL,
  )


def check_copy(copy: pathlib.Path, mount_point: pathlib.Path, expected: Any) -> dict[str, Any]:
  """Mounts a copy and resumes its run; returns what was found.

  Args:
    copy: of a disk.
    mount_point: a directory, made if needed.
    expected: `outcome` of the undisturbed run.
  """
  with mounted(copy, mount_point) as mount:
    run = mount / 'run'
    steps = saved_steps(run)
    damage = [text for step in steps if (text := checksums.damage(run / CHECKPOINTS / str(step)))]
    has_result = (run / RESULT_FILE).exists()
    if has_result:
      json.loads((run / RESULT_FILE).read_text())
    row = {
      'checkpoints': steps,
      'has_result': has_result,
      'is_sound': bool(steps) and not damage,
      'damage': damage,
    }
    status = start(run, mount_point.parent / 'compiled').wait()
    return row | {'status': status, 'is_equal': not status and outcome(run) == expected}


def outcome(run: pathlib.Path) -> Any:
  """Returns the records of a run without their speeds, and the metrics of its result."""
  records = [
    {name: value for name, value in record.items() if name != 'images_per_second'}
    for record in read_records(run)
  ]
  result = json.loads((run / RESULT_FILE).read_text())
  return records, result['test'], result['best']


@contextlib.contextmanager
def mounted(disk: pathlib.Path, mount_point: pathlib.Path) -> Iterator[pathlib.Path]:
  """Mounts a file system in a file within the block."""
  mount_point.mkdir(exist_ok=True)
  subprocess.run(['mount', '-o', 'loop', str(disk), str(mount_point)], check=True)
  try:
    yield mount_point
  finally:
    subprocess.run(['umount', str(mount_point)], check=True)


if __name__ == '__main__':
  campaign()
