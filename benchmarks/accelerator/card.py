"""Stage 1: the card, its measured rates, and the versions.

Each rate is the median of timed calls on random numbers, after a call that compiles. A call takes
many steps in one program, so that the host's time to start it does not count.
"""

import contextlib
import importlib.metadata
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import result_file
from benchmarks.accelerator.stage import Stage

REPEATS, STEPS = 5, 20  # timed calls, and steps of a call
QUERY = 'name,driver_version,memory.total,clocks.sm,clocks.mem,power.limit'
PACKAGES = (
  *('jax-cuda13-plugin', 'jax-cuda12-plugin', 'nvidia-cudnn-cu13', 'nvidia-cudnn-cu12'),
  *('torch', 'triton'),
)
# Height, channels: the 3x3 convolutions of the three stages of WRN-28-10.
CONVOLUTIONS = ((32, 160), (16, 320), (8, 640))


def measure(stage: Stage) -> None:
  """Describes the card, and measures a product, a copy and three convolutions."""
  device = jax.devices()[0]
  origin = result_file.origin('accelerator', {str(stage.data_dir): 'DATA', str(stage.out): 'DIR'})
  origin['command'] = 'python -m benchmarks.accelerator --data-dir DATA --out DIR'
  origin['versions'] |= versions()
  stage.describe(platform=device.platform, nvidia_smi=nvidia_smi(), tiny=stage.tiny, **origin)
  stage.add(product(256 if stage.tiny else 8192))
  stage.add(copy(2**20 if stage.tiny else 2**30))
  for height, channels in CONVOLUTIONS:
    stage.add(convolution(*((4, 2, 8) if stage.tiny else (128, height, channels))))


def versions() -> dict[str, str]:
  """Returns the versions of those of `PACKAGES` that are installed."""
  found = {}
  for name in PACKAGES:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      found[name] = importlib.metadata.version(name)
  return found


def nvidia_smi() -> str:
  """Returns the answer of `nvidia-smi`; empty without it."""
  command = ['nvidia-smi', f'--query-gpu={QUERY}', '--format=csv,noheader']
  with contextlib.suppress(OSError):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
  return ''


def seconds_of(step: Callable[[jax.Array], jax.Array], start: jax.Array) -> float:
  """Returns the seconds of a step, from calls of a program that takes `STEPS` of them.

  Args:
    step: maps an array to one of the same shape and dtype.
    start: the first array.
  """
  run = jax.jit(lambda start: jax.lax.fori_loop(0, STEPS, lambda _, array: step(array), start))
  jax.block_until_ready(run(start))
  times = []
  for _ in range(REPEATS):
    clock = time.perf_counter()
    jax.block_until_ready(run(start))
    times.append(time.perf_counter() - clock)
  return statistics.median(times) / STEPS


def product(size: int) -> dict[str, Any]:
  """Measures products of two bfloat16 matrices `[size, size]`."""
  keys = jax.random.split(jax.random.key(0), 2)
  left, right = (jax.random.normal(key, (size, size), jnp.bfloat16) for key in keys)
  right /= size**0.5  # so that the numbers keep their size
  seconds = seconds_of(lambda array: array @ right, left)
  return {'kind': 'product', 'size': size, 'seconds': seconds, 'rate': 2 * size**3 / seconds}


def copy(numbers: int) -> dict[str, Any]:
  """Measures a pass that reads and writes an array of float32."""
  array = jax.random.normal(jax.random.key(0), (numbers,), jnp.float32)
  seconds = seconds_of(jnp.negative, array)
  return {
    'kind': 'copy',
    'numbers': numbers,
    'seconds': seconds,
    'bandwidth': 8 * numbers / seconds,
  }


def convolution(batch: int, height: int, channels: int) -> dict[str, Any]:
  """Measures a 3x3 convolution in bfloat16 with equal channels on both sides."""
  keys = jax.random.split(jax.random.key(0), 2)
  images = jax.random.normal(keys[0], (batch, height, height, channels), jnp.bfloat16)
  kernel = jax.random.normal(keys[1], (3, 3, channels, channels), jnp.bfloat16)
  kernel /= (9 * channels) ** 0.5
  layout = ('NHWC', 'HWIO', 'NHWC')
  seconds = seconds_of(
    lambda array: jax.lax.conv_general_dilated(
      array, kernel, (1, 1), 'SAME', dimension_numbers=layout
    ),
    images,
  )
  operations = 2 * images.size * 9 * channels
  shape = {'batch': batch, 'height': height, 'channels': channels}
  return {'kind': 'convolution', **shape, 'seconds': seconds, 'rate': operations / seconds}
