"""Makes `torch_sgd.json`: 30 steps of Torch's SGD on given gradients, to compare ours with.

Run by hand from the root, with PyTorch 2.13: `python -m tests.reference.make_sgd`.
"""

import json
import pathlib

import torch

FILE = pathlib.Path(__file__).parent / 'torch_sgd.json'
NUM_STEPS = 30
LEARNING_RATES = {0: 0.1, 10: 0.02, 20: 0.004}  # from the step on


def main() -> None:
  """Writes the parameters after each step, with Nesterov momentum 0.9 and weight decay 5e-4."""
  torch.manual_seed(0)
  parameter = torch.nn.Parameter(torch.randn(5, dtype=torch.float64))
  gradients = torch.randn(NUM_STEPS, 5, dtype=torch.float64)
  start = parameter.tolist()
  sgd = torch.optim.SGD([parameter], lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
  trajectory = []
  for step in range(NUM_STEPS):
    sgd.param_groups[0]['lr'] = LEARNING_RATES.get(step, sgd.param_groups[0]['lr'])
    # A gradient that depends on the parameter, as a real one does.
    parameter.grad = gradients[step] + 0.5 * parameter.detach()
    sgd.step()
    trajectory.append(parameter.tolist())
  result = {
    'torch': torch.__version__,
    'start': start,
    'gradients': gradients.tolist(),
    'trajectory': trajectory,
  }
  FILE.write_text(json.dumps(result) + '\n')


if __name__ == '__main__':
  main()
