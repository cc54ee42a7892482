"""Our side of the race, which `python -m benchmarks.speed` starts: answers requests.

It builds an experiment from a configuration, as `python -m cifar_jax.main` does.
"""

import json
import pathlib
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed import serve
from cifar_jax import models
from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.config.optimization import OptimizerSettings, ScheduleSettings
from cifar_jax.config.training import CheckpointSettings
from cifar_jax.experiment import metrics, randomness
from cifar_jax.experiment.epoch_order import (
  EpochOrder,
  batch_indices,
  order_of_epoch,
)
from cifar_jax.experiment.eval_step import Evaluation, make_eval_step, split_to_devices
from cifar_jax.experiment.experiment import build
from cifar_jax.experiment.state import NEVER, State, abstract_state, initial_state
from cifar_jax.experiment.train_step import make_train_step
from cifar_jax.optim import optimizer
from cifar_jax.optim.schedules import make_schedule
from cifar_jax.runs import provenance
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runtime.devices import make_mesh, replicate, replicate_key, replicated_sharding

ROOT = pathlib.Path(__file__).parents[2]


class JaxSide:
  """The requests of a comparison; `torch_side.TorchSide` answers the same ones."""

  def __init__(self, settings: dict[str, Any]) -> None:
    """Reads the data; `settings` has `config` and its `overrides`."""
    config = loading.load(str(ROOT / settings['config']))
    override(config, settings['overrides'])
    self.experiment = build(config)
    self.batch = self.experiment.batch_size
    self.num_images = len(self.experiment.dataset.train)
    self.base_bytes = serve.resident_bytes()
    self.step = 0

  def export(self, folder: str) -> dict[str, Any]:
    """Writes the data for PyTorch; returns the origin of a result."""
    dataset = self.experiment.dataset
    for prefix, split in (('', dataset.train), ('test_', dataset.test)):
      np.save(pathlib.Path(folder, f'{prefix}images.npy'), split.images)
      np.save(pathlib.Path(folder, f'{prefix}labels.npy'), split.labels)
    statistics = {'mean': list(dataset.mean), 'std': list(dataset.std)}
    pathlib.Path(folder, 'statistics.json').write_text(json.dumps(statistics))
    return provenance.describe(1)

  def build(self) -> dict[str, Any]:
    """Counts the parameters of the net; nothing is compiled yet."""
    return {'num_params': models.count(abstract_state(self.experiment).params)}

  def _prepare(self) -> None:
    """Does what the training loop does before its first step."""
    experiment, train = self.experiment, self.experiment.dataset.train
    self.images, self.labels = replicate((train.images, train.labels), experiment.mesh)
    self.key = replicate_key(experiment.key, experiment.mesh)
    self.group = experiment.steps_per_dispatch
    self.train_steps = {n: make_train_step(experiment, n) for n in {1, self.group}}
    self.epoch = self.left = 0  # left: steps until the epoch ends
    self.state = initial_state(experiment)

  def _take_steps(self, steps: int) -> None:
    """Takes steps in groups; what an epoch leaves is dropped, as on PyTorch's side."""
    while steps:
      count = self.group if steps >= self.group else 1
      if self.left < count:
        order = order_of_epoch(self.key, jnp.int32(self.epoch), self.num_images)
        self.order = order._replace(start=jnp.int32(self.step * self.batch))
        self.epoch, self.left = self.epoch + 1, self.num_images // self.batch
      train_step = self.train_steps[count]
      self.state = train_step(self.state, self.key, self.images, self.labels, self.order)
      self.step, self.left, steps = self.step + count, self.left - count, steps - count
    jax.block_until_ready(self.state)

  def train(self, steps: int) -> dict[str, Any]:
    """Returns the seconds of `steps` training steps; the first also initialises and compiles."""

    def run() -> None:
      if not self.step:
        self._prepare()
      self._take_steps(steps)

    return serve.timed(run)

  def evaluate(self, steps: int) -> dict[str, Any]:
    """Returns the seconds of the evaluation of `steps` batches of the test images, repeated."""
    if not hasattr(self, 'eval_step'):
      self.eval_step = make_eval_step(self.experiment)
      self.test = split_to_devices(self.experiment.dataset.test, self.batch, self.experiment.mesh)
    test, state = self.test, self.state

    def run() -> None:
      done = 0
      while done < steps:
        evaluation = Evaluation.empty(self.experiment.mesh)
        for _ in range(min(test.num_batches, steps - done)):
          evaluation, _ = self.eval_step(
            evaluation, state.params, state.batch_stats, test.images, test.labels, test.size
          )
          done += 1
        jax.block_until_ready(evaluation)

    return serve.timed(run)

  def input(self, steps: int) -> dict[str, Any]:
    """Returns the seconds per step of the input pipeline alone, with its share of a shuffle."""

    @jax.jit
    def batch(
      step: jax.Array, key: jax.Array, images: jax.Array, labels: jax.Array, epoch: EpochOrder
    ) -> Any:
      indices = batch_indices(epoch, step, self.batch)
      augment_key = randomness.stream(key, 'augment', step)
      return self.experiment.augment_fn(augment_key, images[indices], labels[indices])

    def run(epoch: EpochOrder) -> None:
      results = [
        batch(jnp.int32(step), self.key, self.images, self.labels, epoch) for step in range(steps)
      ]
      jax.block_until_ready(results)

    first = order_of_epoch(self.key, jnp.int32(0), self.num_images)
    run(first)  # compiles
    shuffle = serve.timed(
      lambda: jax.block_until_ready(order_of_epoch(self.key, jnp.int32(1), self.num_images))
    )
    steps_per_epoch = self.num_images / self.batch
    seconds = serve.timed(lambda: run(first))['seconds'] / steps
    return {'seconds': seconds + shuffle['seconds'] / steps_per_epoch}

  def memory(self) -> dict[str, Any]:
    """Returns the largest memory since the data were read, and that of the compiled step."""
    result = {'peak_bytes': serve.peak_resident_bytes() - self.base_bytes}
    if jax.default_backend() == 'gpu':
      result['device_peak_bytes'] = jax.devices()[0].memory_stats()['peak_bytes_in_use']
    train_step: Any = self.train_steps[self.group]
    lowered = train_step.lower(self.state, self.key, self.images, self.labels, self.order)
    result['temp_bytes'] = lowered.compile().memory_analysis().temp_size_in_bytes
    return result


def pause(numbers: int, repeats: int) -> dict[str, Any]:
  """Returns the seconds that each `Checkpoints.save` blocks the training thread.

  Args:
    numbers: number of parameters, a multiple of a million; each has a momentum.
    repeats: number of timed calls.
  """
  schedule = make_schedule(1000, 1, ScheduleSettings())
  tx = optimizer.make(schedule, OptimizerSettings())
  mesh = make_mesh(num_devices=1)

  def make(key: jax.Array) -> State:
    params = {
      f'layer{i}': jax.random.normal(jax.random.fold_in(key, i), (1000, 1000))
      for i in range(numbers // 1_000_000)
    }
    return State(
      step=jnp.int32(0),
      params=params,
      batch_stats={},
      opt_state=tx.init(params),
      means=metrics.Means.empty(),
      first_nonfinite=jnp.int32(NEVER),
    )

  state = jax.jit(make, out_shardings=replicated_sharding(mesh))(jax.random.key(0))
  jax.block_until_ready(state)
  seconds = []
  with tempfile.TemporaryDirectory() as folder:  # noqa: SIM117 (the manager ends first)
    with Checkpoints(pathlib.Path(folder, 'checkpoints'), CheckpointSettings()) as checkpoints:
      for step in range(repeats + 1):  # the first one is not counted
        start = time.perf_counter()
        checkpoints.save(step + 1, state, run_info={})
        seconds.append(time.perf_counter() - start)
        checkpoints.wait()
  return {'pauses': seconds[1:]}


def main() -> None:
  """Serves one comparison, or the pause of a checkpoint."""
  settings = json.loads(sys.argv[1])
  if settings.get('pause'):
    serve.serve({'pause': pause})
    return
  side = JaxSide(settings)
  requests = (side.export, side.build, side.train, side.evaluate, side.input, side.memory)
  serve.serve({request.__name__: request for request in requests})


if __name__ == '__main__':
  main()
