"""Stage 6: what options cost and give: dispatches, padding, seeds at once, determinism, kills.

Variants of a step are timed in turn in one process, except where a flag of XLA's makes the
difference, which a process reads once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from benchmarks import interleaved, kill_campaign, result_file, seeds
from benchmarks.accelerator.stage import CACHE, Stage, reason
from benchmarks.random_images import make_experiment
from cifar_jax import models
from cifar_jax.models.layers import platform_forms

DISPATCHES = (1, 10, 100)
SEEDS = 4
ROUNDS = 7


def measure(stage: Stage) -> None:
  """Adds a row per option."""
  for option in (dispatches, padding, seeds_at_once, deterministic, kills):
    try:
      stage.add({'option': option.__name__, **option(stage)})
    except Exception as error:  # the next option may still be measured
      stage.add({'option': option.__name__, 'error': reason(error)})


def _model(stage: Stage) -> tuple[str, int]:
  """Returns the net of most options, and its batch size."""
  return ('resnet8', 8) if stage.tiny else ('resnet20', 128)


def _step(model: str, batch_size: int, num_steps: int = 1) -> interleaved.Run:
  """Returns a function that takes steps of a net in bfloat16."""
  experiment = make_experiment(models.create(model, dtype='bfloat16'), batch_size)
  return interleaved.training_step(experiment, num_steps)


def _milliseconds(variants: dict[str, interleaved.Run], steps: dict[str, int]) -> dict[str, float]:
  """Returns the median time of a step of each variant.

  Args:
    variants: functions that take steps.
    steps: number of steps of a call of each.
  """
  seconds = interleaved.seconds(variants, ROUNDS)
  return {
    name: round(1000 * statistics.median(times) / steps[name], 4) for name, times in seconds.items()
  }


def dispatches(stage: Stage) -> dict[str, Any]:
  """Measures 1, 10 and 100 steps per dispatch."""
  model, batch_size = _model(stage)
  numbers = DISPATCHES[:2] if stage.tiny else DISPATCHES
  variants = {str(number): _step(model, batch_size, number) for number in numbers}
  return {'model': model, 'step_ms': _milliseconds(variants, {str(n): n for n in numbers})}


def padding(stage: Stage) -> dict[str, Any]:
  """Measures a PyramidNet, whose widths are odd, with and without padded channels."""
  model, batch_size = ('pyramidnet8_a24', 8) if stage.tiny else ('pyramidnet20_a48', 128)
  padded = platform_forms.TENSOR_CORE_CHANNELS
  variants = {}
  for name, multiple in (('padded', padded), ('as they are', 1)):
    variants[name] = _with_multiple(multiple, _step(model, batch_size, 10))
  return {'model': model, 'step_ms': _milliseconds(variants, dict.fromkeys(variants, 10))}


def _with_multiple(multiple: int, run: interleaved.Run) -> interleaved.Run:
  """Returns a function whose first call traces convolutions padded to a multiple of channels."""

  def run_padded() -> Any:
    saved, platform_forms.TENSOR_CORE_CHANNELS = platform_forms.TENSOR_CORE_CHANNELS, multiple
    try:
      return run()
    finally:
      platform_forms.TENSOR_CORE_CHANNELS = saved

  return run_padded


def seeds_at_once(stage: Stage) -> dict[str, Any]:
  """Measures several seeds at once, and one after the other."""
  model, batch_size = _model(stage)
  number, steps = (2, 1) if stage.tiny else (SEEDS, 10)
  arguments = argparse.Namespace(
    model=model, dtype='bfloat16', batch_size=batch_size, steps_per_dispatch=steps
  )
  variants = {
    'at once': seeds.make_run(arguments, number),
    'one after the other': seeds.run_in_turn([seeds.make_run(arguments, 1)] * number),
  }
  times = _milliseconds(variants, dict.fromkeys(variants, steps))
  return {'model': model, 'seeds': number, 'step_ms_of_all_seeds': times}


def deterministic(stage: Stage) -> dict[str, Any]:
  """Trains twice with `train.deterministic` and twice without; compares bits and times.

  Each process compiles anew, as those of two users do: a program from the cache would have the same
  kernels.
  """
  model, batch_size = _model(stage)
  rows = {
    flag: [_in_process(model, batch_size, flag == 'on', stage) for _ in range(2)]
    for flag in ('on', 'off')
  }
  return {
    'model': model,
    'step_ms': {flag: min(row['step_ms'] for row in pair) for flag, pair in rows.items()},
    'same_bits': {flag: pair[0]['bits'] == pair[1]['bits'] for flag, pair in rows.items()},
  }


def _in_process(model: str, batch_size: int, flag: bool, stage: Stage) -> dict[str, Any]:
  module = 'benchmarks.accelerator.timed_steps'
  command = [sys.executable, '-m', module, model, str(batch_size), '10' if stage.tiny else '200']
  command += ['--deterministic'] if flag else []
  environment = {name: value for name, value in os.environ.items() if name != CACHE}
  return json.loads(_output(command, stage, environment))


def _output(command: list[str], stage: Stage, environment: dict[str, str] | None = None) -> str:
  """Returns the last line of what a command prints; raises an exception if it fails."""
  done = subprocess.run(
    command,
    cwd=result_file.ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    text=True,
    check=True,
    timeout=max(1.0, stage.seconds_left()),
  )
  return done.stdout.strip().splitlines()[-1]


def kills(stage: Stage) -> dict[str, Any]:
  """Kills runs and compares them with an undisturbed one, to the bit."""
  output = stage.scratch / 'kills.json'
  number = 1 if stage.tiny else len(kill_campaign.MOMENTS)
  command = [sys.executable, '-m', 'benchmarks.kill_campaign', '--data-dir', str(stage.data_dir)]
  command += ['--kills', str(number), '--output', str(output), '--deterministic']
  command += ['--minutes', f'{stage.seconds_left() / 60 / 2:.2f}']
  command += ['--moments', 'step'] if stage.tiny else []
  _output(command, stage)
  result = json.loads(output.read_text())
  return {key: result[key] for key in ('kills', 'runs', 'runs_equal_to_the_bit')}
