"""Our side, which `python -m benchmarks.speed` starts: answers requests on a pipe.

Everything is made by `experiment` from a configuration, as `python -m cifar_jax.main` does.
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
from cifar_jax import (
  backend,
  config,
  experiment,
  keys,
  metrics,
  models,
  optimizer,
  order,
  placed,
  provenance,
  sharding,
)
from cifar_jax import state as states
from cifar_jax import step as steps_of
from cifar_jax.checkpoint import Checkpoints, Policy

ROOT = pathlib.Path(__file__).parents[2]


class Side:
  """The requests of a comparison; `theirs.Side` answers the same ones."""

  def __init__(self, settings: dict[str, Any]) -> None:
    """Reads the data; `settings` has `config` and its `overrides`."""
    made = config.load(str(ROOT / settings['config']))
    config.override(made, settings['overrides'])
    self.parts = experiment.build(made)
    self.batch = self.parts.plan.batch_size
    self.num_images = len(self.parts.dataset.train)
    self.base_bytes = serve.resident_bytes()
    self.step = 0

  def export(self, folder: str) -> dict[str, Any]:
    """Leaves the data for PyTorch, and tells where a result comes from."""
    dataset = self.parts.dataset
    for prefix, split in (('', dataset.train), ('test_', dataset.test)):
      np.save(pathlib.Path(folder, f'{prefix}images.npy'), split.images)
      np.save(pathlib.Path(folder, f'{prefix}labels.npy'), split.labels)
    told = {'mean': list(dataset.mean), 'std': list(dataset.std)}
    pathlib.Path(folder, 'statistics.json').write_text(json.dumps(told))
    return provenance.describe(1)

  def build(self) -> dict[str, Any]:
    """The net, before anything is compiled."""
    return {'num_params': models.count(experiment.abstract_state(self.parts).params)}

  def _place(self) -> None:
    """What the loop does before its first step."""
    parts, train = self.parts, self.parts.dataset.train
    self.images, self.labels = sharding.replicate((train.images, train.labels), parts.mesh)
    self.key = sharding.replicate_key(parts.key, parts.mesh)
    self.train_step = experiment.train_step(parts)
    self.epoch = -1
    self.state = experiment.initial_state(parts)

  def _take(self, steps: int) -> None:
    for _ in range(steps):
      epoch = order.epoch_of(self.step, self.batch, self.num_images)
      if epoch != self.epoch:
        self.order = order.of_epoch(self.key, jnp.int32(epoch), self.num_images)
        self.epoch = epoch
      self.state = self.train_step(self.state, self.key, self.images, self.labels, self.order)
      self.step += 1
    jax.block_until_ready(self.state)

  def train(self, steps: int) -> dict[str, Any]:
    """Seconds of so many training steps; those of the first include initialisation."""

    def run() -> None:
      if not self.step:
        self._place()
      self._take(steps)

    return serve.timed(run)

  def evaluate(self, steps: int) -> dict[str, Any]:
    """Seconds of so many batches of the test images evaluated, over and over."""
    if not hasattr(self, 'eval_step'):
      self.eval_step = experiment.eval_step(self.parts)
      self.test = placed.place(self.parts.dataset.test, self.batch, self.parts.mesh)
    test, state = self.test, self.state

    def run() -> None:
      taken = 0
      while taken < steps:
        evaluation = steps_of.Evaluation.empty(self.parts.mesh)
        for _ in range(min(test.num_batches, steps - taken)):
          evaluation, _ = self.eval_step(
            evaluation, state.params, state.batch_stats, test.images, test.labels, test.size
          )
          taken += 1
        jax.block_until_ready(evaluation)

    return serve.timed(run)

  def input(self, steps: int) -> dict[str, Any]:
    """Seconds of the input pipeline alone, a shuffle an epoch included."""

    @jax.jit
    def batch(
      step: jax.Array, key: jax.Array, images: jax.Array, labels: jax.Array, epoch: order.Order
    ) -> Any:
      indices = order.batch_indices(epoch, step, self.batch)
      augment_key = keys.stream(key, 'augment', step)
      return self.parts.augment_fn(augment_key, images[indices], labels[indices])

    def run(epoch: order.Order) -> None:
      results = [
        batch(jnp.int32(step), self.key, self.images, self.labels, epoch) for step in range(steps)
      ]
      jax.block_until_ready(results)

    first = order.of_epoch(self.key, jnp.int32(0), self.num_images)
    run(first)  # compiles
    shuffle = serve.timed(
      lambda: jax.block_until_ready(order.of_epoch(self.key, jnp.int32(1), self.num_images))
    )
    steps_an_epoch = self.num_images / self.batch
    seconds = serve.timed(lambda: run(first))['seconds'] / steps
    return {'seconds': seconds + shuffle['seconds'] / steps_an_epoch}

  def memory(self) -> dict[str, Any]:
    """The most that was held since the data were read, and what the compiled step needs."""
    told = {'peak_bytes': serve.most_resident_bytes() - self.base_bytes}
    if jax.default_backend() == 'gpu':
      told['device_peak_bytes'] = jax.devices()[0].memory_stats()['peak_bytes_in_use']
    train_step: Any = self.train_step
    lowered = train_step.lower(self.state, self.key, self.images, self.labels, self.order)
    told['temp_bytes'] = lowered.compile().memory_analysis().temp_size_in_bytes
    return told


def pause(numbers: int, repeats: int) -> dict[str, Any]:
  """Seconds that `Checkpoints.save` keeps the training thread, a time each."""
  schedule = optimizer.make_schedule(1000, 1)
  tx = optimizer.make(schedule)
  mesh = sharding.make_mesh(num_devices=1)

  def make(key: jax.Array) -> states.State:
    params = {
      f'layer{i}': jax.random.normal(jax.random.fold_in(key, i), (1000, 1000))
      for i in range(numbers // 1_000_000)
    }
    return states.State(
      step=jnp.int32(0),
      params=params,
      batch_stats={},
      opt_state=tx.init(params),
      means=metrics.Means.empty(),
      first_nonfinite=jnp.int32(states.NEVER),
    )

  state = jax.jit(make, out_shardings=sharding.replicated(mesh))(jax.random.key(0))
  jax.block_until_ready(state)
  seconds = []
  with tempfile.TemporaryDirectory() as folder:  # noqa: SIM117 (the manager ends first)
    with Checkpoints(pathlib.Path(folder, 'checkpoints'), Policy()) as checkpoints:
      for step in range(repeats + 1):  # the first one is not counted
        start = time.perf_counter()
        checkpoints.save(step + 1, state, run={})
        seconds.append(time.perf_counter() - start)
        checkpoints.wait()
  return {'pauses': seconds[1:]}


def main() -> None:
  """Serves one comparison, or the pause of a checkpoint."""
  backend.prepare()
  settings = json.loads(sys.argv[1])
  if settings.get('pause'):
    serve.serve({'pause': pause})
    return
  side = Side(settings)
  requests = (side.export, side.build, side.train, side.evaluate, side.input, side.memory)
  serve.serve({request.__name__: request for request in requests})


if __name__ == '__main__':
  main()
