"""The PyTorch side of the race, which `python -m benchmarks.speed` starts: answers requests."""

import json
import pathlib
import sys
import tempfile
import time
from typing import Any

import torch

from benchmarks.speed import serve
from benchmarks.speed.torch_training import Training


class TorchSide:
  """The requests of a comparison; `jax_side.JaxSide` answers the same ones."""

  def __init__(self, settings: dict[str, Any]) -> None:
    """Loads the data; `settings` are those of `torch_training.Training`."""
    self.training = Training(settings)
    self.base_bytes = serve.resident_bytes()

  def build(self) -> dict[str, Any]:
    """Makes the net; nothing is compiled yet."""
    return {'num_params': self.training.build(), 'torch': torch.__version__}

  def train(self, steps: int) -> dict[str, Any]:
    """Returns the seconds of `steps` training steps."""
    return serve.timed(lambda: self.training.train(steps))

  def evaluate(self, steps: int) -> dict[str, Any]:
    """Returns the seconds of the evaluation of `steps` batches."""
    return serve.timed(lambda: self.training.evaluate(steps))

  def input(self, steps: int) -> dict[str, Any]:
    """Returns the seconds per step of the input pipeline alone, with its share of a shuffle."""
    training = self.training

    def make_batches() -> None:
      for _ in range(steps):
        training.next_batch()
      training.wait()

    def shuffle() -> None:
      torch.randperm(len(training.images), device=training.device)
      training.wait()

    make_batches()  # warms up
    seconds = serve.timed(make_batches)['seconds'] / steps
    return {'seconds': seconds + serve.timed(shuffle)['seconds'] / training.steps_per_epoch}

  def memory(self) -> dict[str, Any]:
    """Returns the largest memory since the data were loaded."""
    result = {'peak_bytes': serve.peak_resident_bytes() - self.base_bytes}
    if self.training.device.type == 'cuda':
      result['device_peak_bytes'] = torch.cuda.max_memory_allocated()
    return result


def pause(numbers: int, repeats: int) -> dict[str, Any]:
  """Returns the seconds of each `torch.save` of a net's parameters and their momenta.

  Args:
    numbers: number of parameters, a multiple of a million.
    repeats: number of timed calls.
  """
  weights = {f'layer{i}': torch.randn(1000, 1000) for i in range(numbers // 1_000_000)}
  state = {'model': weights, 'momentum': {name: w.clone() for name, w in weights.items()}}
  seconds = []
  with tempfile.TemporaryDirectory() as folder:
    for _ in range(repeats + 1):  # the first one is not counted
      start = time.perf_counter()
      torch.save(state, pathlib.Path(folder, 'state.pt'))
      seconds.append(time.perf_counter() - start)
  return {'pauses': seconds[1:]}


def main() -> None:
  """Serves one comparison, or the pause of a checkpoint."""
  settings = json.loads(sys.argv[1])
  if settings.get('pause'):
    serve.serve({'pause': pause})
    return
  side = TorchSide(settings)
  requests = (side.build, side.train, side.evaluate, side.input, side.memory)
  serve.serve({request.__name__: request for request in requests})


if __name__ == '__main__':
  main()
