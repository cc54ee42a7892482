"""Stage 5: two short runs, then every evaluation and every analysis of them, as a user types them.

All commands run in this process, one after the other, which saves the seconds of the imports.
"""

import runpy
import signal
import sys
import time
import traceback
from typing import Any

import PIL.Image

from benchmarks import result_file
from benchmarks.accelerator.stage import Stage
from cifar_jax import data
from cifar_jax.config.dataset import DataSettings

CONFIGS = result_file.ROOT / 'configs'


def measure(stage: Stage) -> None:
  """Adds a row per command: seconds, and the exit status."""
  for arguments in commands(stage):
    stage.add(run(arguments))


def commands(stage: Stage) -> list[list[str]]:
  """Returns the words of each command: the module, then its arguments."""
  folder = stage.scratch / 'commands'
  resnet, shake, picture = (str(folder / name) for name in ('resnet', 'shake', 'picture.png'))
  folder.mkdir(exist_ok=True)
  _save_first_image(stage, picture)
  depth, images = (8, 20) if stage.tiny else (20, 1000)
  settings = [
    f'--config.data.data_dir={stage.data_dir}',
    f'--config.data.images_per_class={images}',
    f'--config.data.validation_size={images}',
    f'--config.train.batch_size={20 if stage.tiny else 100}',
    '--config.train.num_epochs=2',
  ]
  few = ['--num-images', '40' if stage.tiny else '2000']
  training = [
    ['main', '--config', f'{CONFIGS}/resnet.py:depth={depth}', '--workdir', resnet],
    ['main', '--config', f'{CONFIGS}/shake_shake.py', '--workdir', shake],
  ]
  training[1].append(f'--config.model.name=shake_shake_{8 if stage.tiny else 14}_2x16d')
  analyses = [
    *(['lesion', resnet], ['path_length', resnet], ['branch_correlation', shake]),
    *(['activations', resnet], ['landscape', resnet], ['complexity', resnet, shake]),
  ]
  return [
    *(command + settings for command in training),
    ['evaluate', '--workdir', resnet, '--tta', 'flip'],
    ['predict', '--workdir', resnet, picture],
    ['compare', resnet, shake, '--out', str(folder / 'comparison')],
    *([f'analysis.{name}', '--workdir', *runs, *few] for name, *runs in analyses),
    ['report', resnet, shake, '--out', str(folder / 'report.html')],
    ['augment', '--gallery', str(folder / 'augment.png'), '--data-dir', str(stage.data_dir)],
  ]


def _save_first_image(stage: Stage, path: str) -> None:
  dataset = data.load(DataSettings('cifar10', data_dir=str(stage.data_dir), validation_size=0))
  PIL.Image.fromarray(dataset.test.images[0]).save(path)


def run(arguments: list[str]) -> dict[str, Any]:
  """Runs a command; returns its row."""
  module, *words = arguments
  saved, sys.argv = sys.argv, [module, *words]
  start = time.perf_counter()
  try:
    runpy.run_module(f'cifar_jax.{module}', run_name='__main__', alter_sys=True)
    status: Any = 0
  except SystemExit as ending:
    status = ending.code or 0
    if status == 128 + signal.SIGTERM:  # the time of the stage is over
      raise
  except Exception:  # a module without `cli.run`
    traceback.print_exc()
    status = 'exception'
  finally:
    sys.argv = saved
  return {'command': module, 'status': status, 'seconds': round(time.perf_counter() - start, 1)}
