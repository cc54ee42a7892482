"""Counting what a lowered program holds and moves: `benchmarks/accelerator`."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from benchmarks.accelerator import floors, program, traffic
from cifar_jax import models
from cifar_jax.models.cost import counting

BATCH, SIZE, INPUTS, OUTPUTS = 2, 8, 3, 5
LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def lowered(function: Any, *shapes: tuple[int, ...]) -> program.Program:
  """Returns the program of a function of float32 arrays, lowered for CUDA."""
  arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  traced = jax.jit(function).trace(*arguments)
  return program.read(traced.lower(lowering_platforms=('cuda',)).compiler_ir('stablehlo'))


def convolve(images: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
  """A 3x3 convolution, padded by one pixel."""
  padding = ((1, 1), (1, 1))
  return jax.lax.conv_general_dilated(
    images, kernel, (stride, stride), padding, dimension_numbers=LAYOUT
  )


def normed(images: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
  """Two convolutions with a norm and a ReLU between them."""
  y = convolve(images, first)
  centred = y - jnp.mean(y, axis=(0, 1, 2))
  return convolve(jax.nn.relu(centred), second)


def test_a_norm_reads_its_input_twice_and_writes_its_output_once(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(traffic, 'LARGE', 100)  # bytes
  images, first, second = (BATCH, SIZE, SIZE, INPUTS), (3, 3, INPUTS, OUTPUTS), (3, 3, OUTPUTS, 1)
  pixels = 4 * BATCH * SIZE * SIZE  # bytes of a channel
  found = traffic.kernels(lowered(normed, images, first, second))
  mean, activation = 4 * OUTPUTS, pixels * OUTPUTS
  assert sorted(kernel.num_bytes for kernel in found if kernel.kind == 'fusion') == sorted(
    [activation + mean, activation + mean + activation]
  )
  assert [kernel.num_bytes for kernel in found if kernel.kind == 'convolution'] == [
    pixels * INPUTS + 4 * 9 * INPUTS * OUTPUTS + activation,
    activation + 4 * 9 * OUTPUTS + pixels,
  ]
  assert [kernel.operations for kernel in found if kernel.operations] == [
    2 * BATCH * SIZE * SIZE * 9 * INPUTS * OUTPUTS,
    2 * BATCH * SIZE * SIZE * 9 * OUTPUTS,
  ]


def test_a_sum_that_is_used_twice_goes_to_memory_and_a_rectified_array_does_not(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(traffic, 'LARGE', 100)

  def residual(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    total = x + y
    return jnp.sum(jax.nn.relu(total)), jnp.max(total, axis=0)

  (shape,) = ((BATCH, 64),)
  array, row = 4 * BATCH * 64, 4 * 64
  sizes = sorted(kernel.num_bytes for kernel in traffic.kernels(lowered(residual, shape, shape)))
  assert sizes == sorted([3 * array, array + 4 + row])


def test_a_step_has_three_times_the_operations_of_its_forward_pass() -> None:
  model, batch = models.create('resnet8', dtype='bfloat16'), 4
  step = program.read(floors.lower('resnet8', 'bfloat16', batch))
  floor = traffic.floor(step, 1e12, 1e12)
  stem = 32 * 32 * 16 * 27  # whose input has no gradient
  assert floor['operations'] == 2 * batch * (3 * counting.measure(model).multiply_adds - stem)
  assert floor['seconds'] >= max(floor['seconds_of_operations'], floor['seconds_of_bytes'])
  counts = floors.count(step)
  assert counts['convolution']['dtypes'] == {'bf16': counts['convolution']['all']}
  assert counts['convolution']['all'] == 3 * 7 - 1


def test_floors_are_those_of_the_forms_for_gpus() -> None:
  # The widths of a PyramidNet are padded there.
  step = program.read(floors.lower('pyramidnet8_a24', 'bfloat16', 2))
  widths = {
    step.values[operation.results[0]].shape[-1]
    for operation in step.operations
    if operation.name == 'convolution' and step.values[operation.results[0]].shape[0] == 2
  }
  assert all(width % 8 == 0 or width == 3 for width in widths)
