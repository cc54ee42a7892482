"""The operations of a program that is lowered for a platform, in one list.

`jax.jit(...).trace(...).lower(lowering_platforms=('cuda',))` needs no GPU. Its result is StableHLO:
what XLA is given, before it fuses, chooses layouts and picks kernels.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

# Bits of the element types of StableHLO.
BITS = {'i1': 8, 'i8': 8, 'ui8': 8, 'i32': 32, 'ui32': 32, 'i64': 64, 'ui64': 64}
BITS |= {'bf16': 16, 'f16': 16, 'f32': 32, 'f64': 64}


class Value(NamedTuple):
  """A value of a program.

  Attributes:
    shape: of the array; empty for a scalar.
    dtype: StableHLO's name of the element type, such as `bf16`.
  """

  shape: tuple[int, ...]
  dtype: str

  @property
  def num_bytes(self) -> int:
    """The size of the array in memory."""
    return math.prod(self.shape) * BITS.get(self.dtype, 32) // 8


class Operation(NamedTuple):
  """An operation of a program.

  Attributes:
    name: StableHLO's name without its dialect, such as `convolution`.
    operands: indices into `Program.values`.
    results: indices into `Program.values`.
    multiply_adds: of a convolution or a product; 0 of others.
  """

  name: str
  operands: tuple[int, ...]
  results: tuple[int, ...]
  multiply_adds: int


class Program(NamedTuple):
  """A program without calls, in the order of its operations.

  Attributes:
    values: all values.
    operations: all operations; the bodies of loops and conditionals are not among them.
    arguments: indices of the program's arguments.
    outputs: indices of its results.
  """

  values: list[Value]
  operations: list[Operation]
  arguments: tuple[int, ...]
  outputs: tuple[int, ...]


def read(module: Any) -> Program:
  """Returns the program of a StableHLO module, with its calls in place.

  Args:
    module: `jax.stages.Lowered.compiler_ir('stablehlo')`.
  """
  reader = _Reader(module)
  main = reader.functions['main']
  arguments = tuple(reader.new(argument) for argument in main.regions[0].blocks[0].arguments)
  outputs = reader.read_function(main, arguments)
  return Program(reader.values, reader.operations, arguments, outputs)


class _Reader:
  """Walks through the functions of a module and collects values and operations."""

  def __init__(self, module: Any) -> None:
    """Lists the functions by name."""
    self.functions = {
      operation.attributes['sym_name'].value: operation
      for operation in module.body.operations
      if operation.operation.name == 'func.func'
    }
    self.values: list[Value] = []
    self.operations: list[Operation] = []

  def new(self, value: Any) -> int:
    """Adds a value of the module; returns its index."""
    kind = value.type
    shape = tuple(kind.shape) if hasattr(kind, 'shape') else ()
    self.values.append(Value(shape, str(getattr(kind, 'element_type', 'token'))))
    return len(self.values) - 1

  def read_function(self, function: Any, arguments: Sequence[int]) -> tuple[int, ...]:
    """Reads the body of a function for given arguments; returns the indices of its results."""
    block = function.regions[0].blocks[0]
    known = dict(zip(block.arguments, arguments, strict=True))
    for operation in block.operations:
      view = operation.operation
      name = view.name.split('.', 1)[1]
      operands = tuple(known[operand] for operand in view.operands)
      if name == 'return':
        return operands
      if name == 'sharding_constraint':  # it computes nothing
        results = operands
      elif name == 'call':
        callee = self.functions[view.attributes['callee'].value]
        results = self.read_function(callee, operands)
      else:
        results = tuple(self.new(result) for result in view.results)
        count = _COUNTS.get(name)
        work = count([self.values[i] for i in operands + results], view) if count else 0
        self.operations.append(Operation(name, operands, results, work))
      known.update(zip(view.results, results, strict=True))
    raise ValueError(f'{function.attributes["sym_name"]} does not return')


def _convolution(values: list[Value], view: Any) -> int:
  """Entries of the result times taps of the kernel times input channels of a group.

  The zeros that a dilation of the input puts between its entries do not count.
  """
  _, kernel, result = values
  text = str(view.attributes['dimension_numbers'])
  # Such as `[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]`.
  letters = text.split('x[', 1)[1].split(']', 1)[0].split(', ')
  outputs = kernel.shape[letters.index('o')]
  dilated = 'lhs_dilation' in view.attributes
  dilation = math.prod(view.attributes['lhs_dilation']) if dilated else 1
  return math.prod(result.shape) * math.prod(kernel.shape) // outputs // dilation


def _product(values: list[Value], view: Any) -> int:
  """Entries of the result times the entries that each sums over."""
  left, right, result = values
  del view
  # No product of these nets has batch axes: (m k) (k n) (m n) is the square of m k n.
  return math.isqrt(math.prod(left.shape) * math.prod(right.shape) * math.prod(result.shape))


_COUNTS = {'convolution': _convolution, 'dot_general': _product}
