"""Makes `checkpoint.pth`: what a training script saves with PyTorch, as small as can be.

Run by hand from the root, with PyTorch 2.13: `python -m tests.reference.make_checkpoint`.
"""

import argparse
import pathlib
from typing import Any

import torch
from torch import nn

FILE = pathlib.Path(__file__).parent / 'checkpoint.pth'


def main() -> None:
  """Writes the file: a state_dict of a parallel net among other things, with unusual tensors."""
  net = nn.DataParallel(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)))
  optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
  net(torch.ones(2, 1, 2, 2)).sum().backward()
  optimizer.step()
  state: dict[str, Any] = net.state_dict()
  for tensor in net.parameters():
    tensor.data = torch.arange(tensor.numel(), dtype=torch.float32).reshape(tensor.shape)
  state = net.state_dict()
  numbers = torch.arange(12, dtype=torch.float32)
  state['module.transposed'] = numbers.reshape(3, 4).T
  state['module.part'] = numbers[2:7]
  state['module.bfloat16'] = numbers.to(torch.bfloat16)
  state['module.half'] = numbers[:3].to(torch.float16)
  state['module.empty'] = torch.zeros(0, 3)
  state['module.parameter'] = nn.Parameter(numbers[:2].clone())
  content = {
    'epoch': 3,
    'args': argparse.Namespace(lr=0.1, arch='resnet20'),
    'best_acc1': torch.tensor(91.25),
    'optimizer': optimizer.state_dict(),
    'state_dict': state,
  }
  torch.save(content, FILE)


if __name__ == '__main__':
  main()
