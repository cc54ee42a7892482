"""Lowers training steps for CUDA, counts what is in them, and computes the least time of a step.

  python -m benchmarks.accelerator.floors

No GPU is needed and nothing is compiled. Prints a line per net, and writes
`results/accelerator/floors.json`. `traffic.py` says what the floor assumes.
"""

import argparse
import collections
import pathlib
from typing import Any

from benchmarks import result_file
from benchmarks.accelerator import program, traffic
from benchmarks.random_images import make_experiment
from benchmarks.speed.nets import BATCH, DTYPES
from cifar_jax import cli, models
from cifar_jax.experiment.train_step import abstract_inputs, make_train_step
from cifar_jax.models import layers

RESULT = result_file.FOLDER / 'accelerator' / 'floors.json'
# The nets of the race, and the speed run's at its batch.
NETS = {
  'resnet20': BATCH,
  'wrn_16_4': BATCH,
  'wrn_28_10': BATCH,
  'pyramidnet110_a48': BATCH,
  'shake_shake_26_2x32d': BATCH,
  'densenet_bc_100_12': BATCH,
  'speed_net_64_256_256': 1024,
}
# Of an NVIDIA H200: measured there on a product of 8192 x 8192 matrices in bfloat16, and on a copy
# of 4.3 GB, whose reads and writes both count.
RATE, BANDWIDTH = 790e12, 4.3e12
COUNTED = ('convolution', 'dot_general', 'transpose', 'convert', 'reduce', 'pad', 'concatenate')


def lower(model_name: str, dtype: str, batch_size: int) -> Any:
  """Returns the StableHLO of a training step, lowered for CUDA with the forms for GPUs."""
  experiment = make_experiment(models.create(model_name, dtype=dtype), batch_size)
  step: Any = make_train_step(experiment)
  with layers.forms_for('gpu'):
    traced = step.trace(*abstract_inputs(experiment))
  return traced.lower(lowering_platforms=('cuda',)).compiler_ir('stablehlo')


def count(step: program.Program) -> dict[str, Any]:
  """Returns the number of each operation of `COUNTED`, and what else tells of extra passes.

  `large` numbers are those of operations on arrays of at least `traffic.LARGE` bytes: activations
  and large kernels, and no numbers per channel.
  """
  rows: dict[str, Any] = {}
  for name in COUNTED:
    found = [operation for operation in step.operations if operation.name == name]
    large = [
      operation
      for operation in found
      if max(step.values[i].num_bytes for i in operation.operands) >= traffic.LARGE
    ]
    rows[name] = {'all': len(found), 'large': len(large)}
  convolutions = [operation for operation in step.operations if operation.name == 'convolution']
  rows['convolution']['dtypes'] = dict(
    collections.Counter(step.values[operation.results[0]].dtype for operation in convolutions)
  )
  return rows


def measure(model_name: str, dtype: str, batch_size: int) -> dict[str, Any]:
  """Returns the row of a net: counts, bytes, operations and floor."""
  step = program.read(lower(model_name, dtype, batch_size))
  row = {'model': model_name, 'dtype': dtype, 'batch_size': batch_size}
  return row | traffic.floor(step, RATE, BANDWIDTH) | {'counts': count(step)}


def main() -> None:
  """Counts, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--nets', nargs='+', choices=tuple(NETS), default=list(NETS))
  parser.add_argument('--dtype', choices=DTYPES, default='bfloat16')
  parser.add_argument('--output', type=pathlib.Path, default=RESULT)
  arguments = parser.parse_args()
  origin = result_file.origin('accelerator.floors')
  rows = []
  for net in arguments.nets:
    rows.append(measure(net, arguments.dtype, NETS[net]))
    result_file.print_row(rows[-1])
  result_file.write(arguments.output, origin | {'rate': RATE, 'bandwidth': BANDWIDTH, 'rows': rows})


if __name__ == '__main__':
  cli.run(main)
