"""The side of PyTorch, which `python -m benchmarks.speed` starts: answers requests on a pipe."""

import json
import pathlib
import sys
import tempfile
import time
from typing import Any

import torch

from benchmarks.speed import serve
from benchmarks.speed.torch_training import Training


class Side:
  """The requests of a comparison; `ours.Side` answers the same ones."""

  def __init__(self, settings: dict[str, Any]) -> None:
    """Of `torch_training.Training`."""
    self.training = Training(settings)
    self.base_bytes = serve.resident_bytes()

  def build(self) -> dict[str, Any]:
    """The net, before anything is compiled."""
    return {'num_params': self.training.build(), 'torch': torch.__version__}

  def train(self, steps: int) -> dict[str, Any]:
    """Seconds of so many training steps."""
    return serve.timed(lambda: self.training.train(steps))

  def evaluate(self, steps: int) -> dict[str, Any]:
    """Seconds of so many batches evaluated."""
    return serve.timed(lambda: self.training.evaluate(steps))

  def input(self, steps: int) -> dict[str, Any]:
    """Seconds of the input pipeline alone, a shuffle an epoch included."""
    training = self.training

    def batches() -> None:
      for _ in range(steps):
        training.next_batch()
      training.wait()

    def shuffle() -> None:
      torch.randperm(len(training.images), device=training.device)
      training.wait()

    batches()  # warms up
    batch = serve.timed(batches)['seconds'] / steps
    return {'seconds': batch + serve.timed(shuffle)['seconds'] / training.steps_an_epoch}

  def memory(self) -> dict[str, Any]:
    """The most that was held since the data were loaded."""
    told = {'peak_bytes': serve.most_resident_bytes() - self.base_bytes}
    if self.training.device.type == 'cuda':
      told['device_peak_bytes'] = torch.cuda.max_memory_allocated()
    return told


def pause(numbers: int, repeats: int) -> dict[str, Any]:
  """Seconds of `torch.save` of so many parameters and their momenta, a time each."""
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
  side = Side(settings)
  requests = (side.build, side.train, side.evaluate, side.input, side.memory)
  serve.serve({request.__name__: request for request in requests})


if __name__ == '__main__':
  main()
