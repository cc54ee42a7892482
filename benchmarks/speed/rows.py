"""Measures the rows of the result, and the pause of a checkpoint."""

import pathlib
import sys
import tempfile
from typing import Any

from benchmarks.speed import ratios, workers
from benchmarks.speed.compare import Comparison, Machine
from cifar_jax.runtime.console import logger

INPUT_STEPS = 100
EVALUATION = 0.25  # share of a row's seconds for the race of evaluation
NUMBERS, REPEATS = 40_000_000, 7  # parameters of the checkpoint, and how often it is written


def measure_row(machine: Machine, net: str, dtype: str, batch: int) -> dict[str, Any]:
  """Measures one net in one dtype.

  Raises:
    InputError: the two sides have different nets.
    WorkerError: a worker failed.
  """
  with Comparison(machine, net, dtype, batch) as comparison:
    cold, num_params = comparison.start_ours('cold')
    cold.close()
    torch, variant, tried = comparison.start_torch(num_params)
    ours, _ = comparison.start_ours('cached')
    train = comparison.race(ours, torch, 'train', machine.seconds * (1 - EVALUATION))
    logger.info('%s %s: training %.2f', net, dtype, train['ratio']['median'])
    memory = {'ours': ours.ask('memory'), 'torch': torch.ask('memory')}
    evaluate = comparison.race(ours, torch, 'evaluate', machine.seconds * EVALUATION)
    share = {
      side: worker.ask('input', steps=INPUT_STEPS)['seconds'] * train[side]['median'] / batch
      for side, worker in (('ours', ours), ('torch', torch))
    }
    ours.close()
    torch.close()
    return {
      'net': net,
      'dtype': dtype,
      'batch': batch,
      'num_params': num_params,
      'torch_variant': variant,
      'torch_variants_step_seconds': tried,
      'train': train,
      'evaluate': evaluate,
      'input_share': {side: round(value, 5) for side, value in share.items()},
      'first_step_seconds': comparison.starts,
      'command_to_first_step_seconds': comparison.commands(variant),
      'memory': {
        side: {key: value for key, value in answer.items() if key != 'waited'}
        for side, answer in memory.items()
      },
    }


def measure_checkpoint(machine: Machine) -> dict[str, Any]:
  """Measures how long writing a checkpoint blocks the training thread.

  The checkpoint holds `NUMBERS` parameters and their momenta.
  """
  result: dict[str, Any] = {'parameters': NUMBERS}
  with tempfile.TemporaryDirectory(prefix='speed_') as cache:
    for side, python in (('ours', sys.executable), ('torch', machine.torch_python)):
      folder = pathlib.Path(cache)
      with workers.start_side(side, python, {'pause': True}, machine.device, folder) as worker:
        answer = worker.ask('pause', numbers=NUMBERS, repeats=REPEATS)
      result[side] = ratios.spread(answer['pauses'])
  return result
