"""Stage 2: the speed run, as often as the time allows, by airbench's clock."""

import time
from typing import Any

from benchmarks import result_file, speedrun
from benchmarks.accelerator.stage import Stage
from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.experiment.experiment import build

# Seconds to 94 % on one A100.
PUBLISHED = {
  'airbench94_muon (Jordan, November 2024)': 2.59,
  'Hiverge (October 2025)': 1.99,
}
TINY = ':widths=16_16_16,epochs=1,batch_size=20'
LEAST, MOST = 1, 200  # runs


def measure(stage: Stage) -> None:
  """Adds a row per run, and the summary of all."""
  arguments = TINY if stage.tiny else ':dtype=bfloat16'
  config = loading.load(f'{result_file.ROOT}/configs/speedrun.py{arguments}')
  settings: dict[str, Any] = {'data.data_dir': stage.data_dir, 'sharding.num_devices': 1}
  if stage.tiny:
    settings['data.images_per_class'] = 20
  override(config, [f'--config.{key}={value}' for key, value in settings.items()])
  experiment = build(config)
  start = time.perf_counter()
  speed_run = speedrun.SpeedRun(experiment, at_once=True)
  preparation = round(time.perf_counter() - start, 1)
  stage.describe(
    published_seconds_on_an_a100=PUBLISHED,
    preparation_seconds=preparation,
    **speedrun.describe(experiment, config.model.name),
  )
  runs: list[dict[str, Any]] = []
  longest = 0.0  # with everything that the clock leaves out
  while len(runs) < (LEAST if stage.tiny else MOST):
    if len(runs) >= LEAST and stage.seconds_left() < 2 * longest:
      break
    start = time.perf_counter()
    runs.append(speed_run.run(len(runs), experiment.num_steps))
    longest = max(longest, time.perf_counter() - start)
    stage.add(runs[-1])
    stage.describe(summary=speedrun.summarize(runs))
