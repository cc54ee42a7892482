"""Training and evaluation in PyTorch at its best: data and augmentation on the device.

As a command it does what `python -m cifar_jax.main` does until its first step:

  python -m benchmarks.speed.torch_training SETTINGS.json
"""

import contextlib
import json
import math
import pathlib
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.speed import nets, torch_nets

# Options of `torch.compile` by variant; None for a net that is not compiled.
VARIANTS: dict[str, dict[str, Any] | None] = {
  'eager': None,
  'compiled': {},
  'compiled, CUDA graphs': {'mode': 'reduce-overhead'},
  'compiled, a step as one CUDA graph': {},
}
WHOLE_STEP = 'compiled, a step as one CUDA graph'
WARM_UP = 3  # steps before a CUDA graph is recorded, as PyTorch's notes on CUDA graphs ask


class Training:
  """A net, its optimizer and the data, on the device."""

  def __init__(self, settings: dict[str, Any]) -> None:
    """Sets PyTorch up and loads the data; `build` makes the net.

    Args:
      settings: `net`, `variant` (of `VARIANTS`), `dtype`, `batch`, `device` (`cpu` or `gpu`),
        `threads`, and `data`: a folder with `images.npy` and `test_images.npy` (uint8, `[n, height,
        width, 3]`), `labels.npy` and `test_labels.npy`, and `statistics.json`.
    """
    self.settings, self.batch = settings, settings['batch']
    self.device = torch.device('cuda' if settings['device'] == 'gpu' else 'cpu')
    torch.set_num_threads(settings['threads'])
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision('high')  # JAX's default
    folder = pathlib.Path(settings['data'])

    def load(name: str) -> Tensor:
      return torch.from_numpy(np.load(folder / f'{name}.npy')).to(self.device)

    self.images, self.labels = load('images'), load('labels').long()
    self.test_images, self.test_labels = load('test_images'), load('test_labels').long()
    statistics = json.loads((folder / 'statistics.json').read_text())
    self.mean = 255 * torch.tensor(statistics['mean'], device=self.device)
    self.scale = 1 / (255 * torch.tensor(statistics['std'], device=self.device))
    self.corners = torch.arange(32, device=self.device)
    self.seen = self.test_seen = 0
    self.order = torch.empty(0, dtype=torch.long, device=self.device)

  def build(self) -> int:
    """Makes the net and the optimizer; returns the number of parameters."""
    self.net = torch_nets.create(self.settings['net'])
    self.net = self.net.to(self.device, memory_format=torch.channels_last)
    whole_step = self.settings['variant'] == WHOLE_STEP
    self.optimizer = torch.optim.SGD(
      self.net.parameters(),
      # A recorded step reads the rate from the device.
      lr=torch.tensor(nets.LEARNING_RATE, device=self.device) if whole_step else nets.LEARNING_RATE,
      momentum=nets.MOMENTUM,
      nesterov=True,
      weight_decay=nets.WEIGHT_DECAY,
      fused=True,
    )
    self.steps_per_epoch = max(1, len(self.images) // self.batch)
    self.num_steps, self.steps_taken = nets.EPOCHS * self.steps_per_epoch, 0
    self.loss = torch.zeros((), device=self.device)  # a sum, which is seldom read
    self.correct = torch.zeros((), device=self.device)
    self.model, self.augment = self.net, self._augment
    self.take_step: Callable[[Tensor], None] = self._take_step
    self.evaluate_batch: Callable[[Tensor], None] = self._evaluate_batch
    self.test_batches = torch.arange(len(self.test_images), device=self.device).split(self.batch)
    if (options := VARIANTS[self.settings['variant']]) is not None:
      warnings.filterwarnings('ignore')
      self.model = torch.compile(self.net, **options)
      if self.device.type == 'cuda':
        self.augment = torch.compile(self._augment)
    return torch_nets.count(self.net)

  def _autocast(self) -> contextlib.AbstractContextManager[Any]:
    if self.settings['dtype'] == 'float32':
      return contextlib.nullcontext()
    return torch.autocast(self.device.type, torch.bfloat16)

  def _normalize(self, images: Tensor) -> Tensor:
    return (images.float() - self.mean) * self.scale

  def _augment(self, images: Tensor, labels: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Normalises, pads, crops and flips; the result is channels-last without a copy."""
    count, pad = len(order), nets.PAD
    padded = functional.pad(self._normalize(images[order]), (0, 0, pad, pad, pad, pad))
    top, left = torch.randint(0, 2 * pad + 1, (2, count, 1), device=self.device)
    rows, columns = top + self.corners, self.corners.expand(count, -1)
    flips = torch.rand(count, 1, device=self.device) < 0.5
    columns = left + torch.where(flips, columns.flip(1), columns)
    image = torch.arange(count, device=self.device)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2), labels[order]

  def next_order(self) -> Tensor:
    """Returns the indices of the next batch, int64 `[batch]`; shuffles once per epoch."""
    if self.seen + self.batch > len(self.order):
      self.order, self.seen = torch.randperm(len(self.images), device=self.device), 0
    self.seen += self.batch
    return self.order[self.seen - self.batch : self.seen]

  def next_batch(self) -> tuple[Tensor, Tensor]:
    """Returns the next batch of the input pipeline."""
    return self.augment(self.images, self.labels, self.next_order())

  def _take_step(self, order: Tensor) -> None:
    """Takes a training step with the images `order`, int64 `[batch]`, without asking the host."""
    images, labels = self.augment(self.images, self.labels, order)
    self.optimizer.zero_grad(set_to_none=True)
    with self._autocast():
      logits = self.model(images)
      loss = functional.cross_entropy(logits.float(), labels)
    loss.backward()
    self.optimizer.step()
    self.loss += loss.detach()
    self.correct += (logits.detach().argmax(1) == labels).sum()

  def _set_rate(self) -> None:
    """Sets the learning rate of the next step, which falls along a cosine to 0."""
    rate = 0.5 * nets.LEARNING_RATE * (1 + math.cos(math.pi * self.steps_taken / self.num_steps))
    for group in self.optimizer.param_groups:
      if isinstance(group['lr'], Tensor):
        group['lr'].fill_(rate)
      else:
        group['lr'] = rate

  def train(self, steps: int) -> None:
    """Takes `steps` training steps, and waits for the last one."""
    self.net.train()
    if self.settings['variant'] == WHOLE_STEP and not self.steps_taken:
      self.take_step = recorded(self._take_step, self.next_order())
    for _ in range(steps):
      self.take_step(self.next_order())
      self.steps_taken += 1
      self._set_rate()
    self.wait()

  def _evaluate_batch(self, order: Tensor) -> None:
    """Adds up loss and hits of the test images `order`, int64 `[batch]`."""
    images, labels = self._normalize(self.test_images[order]), self.test_labels[order]
    with self._autocast():
      logits = self.model(images.permute(0, 3, 1, 2)).float()
      self.loss += functional.cross_entropy(logits, labels)
    self.correct += (logits.argmax(1) == labels).sum()

  @torch.no_grad()
  def evaluate(self, steps: int) -> None:
    """Evaluates `steps` full batches of the test images, repeated, and waits for the last one."""
    self.net.eval()
    if self.settings['variant'] == WHOLE_STEP and not self.test_seen:
      self.evaluate_batch = recorded(self._evaluate_batch, self.test_batches[0])
    num_batches = len(self.test_images) // self.batch
    for _ in range(steps):
      self.evaluate_batch(self.test_batches[self.test_seen % num_batches])
      self.test_seen += 1
    self.wait()

  def wait(self) -> None:
    """Waits until the device is done."""
    if self.device.type == 'cuda':
      torch.cuda.synchronize()


def recorded(run: Callable[[Tensor], None], example: Tensor) -> Callable[[Tensor], None]:
  """Returns a function recorded as a CUDA graph, which the driver starts with one call.

  Args:
    run: computes on the device alone; is called a few times before it is recorded.
    example: an argument; later ones have its shape and dtype.
  """
  argument, stream, graph = example.clone(), torch.cuda.Stream(), torch.cuda.CUDAGraph()
  stream.wait_stream(torch.cuda.current_stream())
  with torch.cuda.stream(stream):
    for _ in range(WARM_UP):
      run(argument)
  torch.cuda.current_stream().wait_stream(stream)
  with torch.cuda.graph(graph):
    run(argument)

  def replay(value: Tensor) -> None:
    argument.copy_(value)
    graph.replay()

  return replay


def main() -> None:
  """Takes one step, and prints it as our command does."""
  training = Training(json.loads(pathlib.Path(sys.argv[1]).read_text()))
  training.build()
  training.train(1)
  print(f'step 1/{training.num_steps}  loss {float(training.loss):.3f}')


if __name__ == '__main__':
  main()
