"""The least bytes that a program moves through a device's memory, with kernels fused at best.

A convolution, a product, a pooling or another operation of `KERNELS` is a kernel of its own, and so
is what reads a part of a large array. All other operations are fused into kernels that read each of
their inputs once and write each of their outputs once; a sum over an axis is the end of such a
kernel. Arrays go to memory where

  - a kernel of `KERNELS` reads or writes them,
  - they are arguments or results of the program,
  - they are made of two or more large arrays and are used more than once, as a residual sum is. An
    array that is made of one large array, as a normalised activation is, is computed again instead.

Kernels that read the same large arrays are one kernel, unless one needs a result of the other. No
cache is assumed to hold an array from one kernel to the next. A compiler that fuses a convolution
with what follows it would move less.
"""

import collections
from collections.abc import Iterable
from typing import Any, NamedTuple

from benchmarks.accelerator.program import Operation, Program

LARGE = 2**16  # bytes from which an array counts as large
PRODUCTS = ('convolution', 'dot_general')
KERNELS = (
  *PRODUCTS,
  'reduce_window',
  'select_and_scatter',
  'scatter',
  'sort',
  'custom_call',
  'while',
)
SUMS = ('reduce',)
PARTS = ('gather', 'dynamic_slice')  # which read as much of their first operand as they return


class Kernel(NamedTuple):
  """What a kernel does.

  Attributes:
    kind: name of its operation; `fusion` for fused ones.
    num_bytes: read and written.
    operations: two for each multiplication with its addition; 0 where it is not a product.
  """

  kind: str
  num_bytes: int
  operations: int


def kernels(program: Program) -> list[Kernel]:
  """Returns the kernels of a program, by the rules at the head of this file."""
  return _Fuser(program).kernels()


class _Fuser:
  """Decides for each value whether it goes to memory, and groups the operations into kernels."""

  def __init__(self, program: Program) -> None:
    """Counts the uses of each value."""
    self.program = program
    self.uses: collections.Counter[int] = collections.Counter()
    for operation in reversed(program.operations):
      # What is made wider is used as often as its wider form, which is never written.
      times = self.uses[operation.results[0]] if self._widens(operation) else 1
      self.uses.update(dict.fromkeys(operation.operands, times))
    self.for_kernels = {
      index
      for operation in program.operations
      if self._is_alone(operation)
      for index in operation.operands
    } | set(program.outputs)
    # For each value the arrays in memory that it is computed from: itself, if it is in memory.
    self.sources: dict[int, frozenset[int]] = {
      index: frozenset([index]) for index in program.arguments
    }
    # Kernels on the longest way from the arguments to an array in memory.
    self.depth = dict.fromkeys(program.arguments, 0)

  def kernels(self) -> list[Kernel]:
    """Walks through the program."""
    alone = []
    fused: dict[tuple[frozenset[int], int], tuple[set[int], set[int]]] = {}
    for operation in self.program.operations:
      inputs = self._sources_of(operation.operands)
      depth = 1 + max((self.depth[index] for index in inputs), default=0)
      if self._is_alone(operation):
        alone.append(self._alone(operation))
        written: Iterable[int] = operation.results
      else:
        written = [i for i in operation.results if self._goes_to_memory(operation, i, inputs)]
        if written and inputs:
          reads, writes = fused.setdefault((self._large(inputs), depth), (set(), set()))
          reads |= inputs
          writes |= set(written)
      for index in operation.results:
        self.sources[index] = frozenset([index]) if index in written else inputs
      self.depth.update(dict.fromkeys(written, depth))
    return alone + [
      Kernel('fusion', self._bytes(reads) + self._bytes(writes), 0)
      for reads, writes in fused.values()
    ]

  def _is_alone(self, operation: Operation) -> bool:
    """Whether an operation is a kernel of its own."""
    first = self.program.values[operation.operands[0]] if operation.operands else None
    reads_a_part = operation.name in PARTS and first and first.num_bytes >= LARGE
    return operation.name in KERNELS or bool(reads_a_part)

  def _alone(self, operation: Operation) -> Kernel:
    arrays = [*dict.fromkeys((*operation.operands, *operation.results))]
    if operation.name in PARTS:
      arrays[0] = operation.results[0]
    return Kernel(operation.name, self._bytes(arrays), 2 * operation.multiply_adds)

  def _goes_to_memory(self, operation: Operation, index: int, inputs: frozenset[int]) -> bool:
    if index in self.for_kernels or operation.name in SUMS:
      return True
    # The parts of a joined array can be read just as well, and so can the narrower form.
    if operation.name == 'concatenate' or self._widens(operation):
      return False
    merges = len(self._large(inputs)) > 1 and self.uses[index] > 1
    return merges and self.program.values[index].num_bytes >= LARGE

  def _widens(self, operation: Operation) -> bool:
    """Whether an operation converts an array to a dtype of more bytes."""
    if operation.name != 'convert':
      return False
    before, after = (self.program.values[i] for i in (*operation.operands, *operation.results))
    return before.num_bytes < after.num_bytes

  def _sources_of(self, operands: tuple[int, ...]) -> frozenset[int]:
    return frozenset().union(*(self.sources[index] for index in operands))

  def _large(self, indices: Iterable[int]) -> frozenset[int]:
    return frozenset(i for i in indices if self.program.values[i].num_bytes >= LARGE)

  def _bytes(self, indices: Iterable[int]) -> int:
    return sum(self.program.values[index].num_bytes for index in indices)


def floor(program: Program, rate: float, bandwidth: float) -> dict[str, Any]:
  """Returns bytes, operations and the least seconds of a program, ready for JSON.

  Args:
    program: such as a training step.
    rate: operations per second of large products.
    bandwidth: bytes per second through the device's memory, read or written.

  Returns:
    `operations`, `bytes`; the seconds that each takes alone; and `seconds`, the sum over the
    kernels of the larger of both, as kernels run one after the other.
  """
  found = kernels(program)
  operations = sum(kernel.operations for kernel in found)
  num_bytes = sum(kernel.num_bytes for kernel in found)
  products = [kernel for kernel in found if kernel.kind in PRODUCTS]
  return {
    'operations': operations,
    'bytes': num_bytes,
    'bytes_of_products': sum(kernel.num_bytes for kernel in products),
    'kernels': len(found),
    'seconds_of_operations': operations / rate,
    'seconds_of_bytes': num_bytes / bandwidth,
    'seconds': sum(max(kernel.operations / rate, kernel.num_bytes / bandwidth) for kernel in found),
  }
