"""Convolutions by oneDNN: equal to XLA's in every setting, repeatable, and never a must."""

import errno
import functools
import logging
import os
import pathlib
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.layers import cpu_conv, onednn
from cifar_jax.models.layers.onednn import library
from cifar_jax.runtime.devices import jit_step
from tests.support.paths import ROOT

needs_onednn = pytest.mark.skipif(not onednn.load(), reason='oneDNN cannot be used here')

WINDOWS = [  # size, taps, strides, padding, groups, inputs, outputs
  ((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), 1, 3, 16),
  ((8, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), 1, 16, 24),
  ((9, 7), (3, 3), (2, 2), ((1, 1), (1, 1)), 1, 5, 7),
  ((7, 8), (3, 3), (2, 2), ((0, 2), (0, 2)), 1, 4, 6),
  ((8, 6), (5, 3), (1, 2), ((2, 1), (0, 1)), 1, 8, 8),
  ((8, 8), (1, 1), (1, 1), ((0, 0), (0, 0)), 1, 16, 32),
  ((8, 8), (1, 1), (2, 2), ((0, 0), (0, 0)), 1, 16, 32),
  ((2, 2), (3, 3), (1, 1), ((1, 1), (1, 1)), 1, 32, 32),
  ((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), 4, 16, 32),
  ((8, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), 2, 6, 10),
  ((8, 8), (5, 5), (2, 2), ((2, 2), (2, 2)), 16, 16, 16),
  ((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), 4, 4, 8),
]
TOLERANCES = {'float32': 1e-5, 'float16': 4e-3, 'bfloat16': 2e-2}  # of the largest value
Conv = Callable[..., jax.Array]


def plain(x: jax.Array, kernel: jax.Array, strides: Any, padding: Any, groups: int) -> jax.Array:
  """XLA's own convolution."""
  return jax.lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=cpu_conv.LAYOUT, feature_group_count=groups
  )


def draw(window: Any, dtype: Any = 'float32', stack: tuple[int, ...] = ()) -> Any:
  """Random images and kernel for a row of `WINDOWS`, with leading axes of the shape `stack`."""
  size, taps, _, _, groups, inputs, outputs = window
  keys = jax.random.split(jax.random.key(0))
  x = jax.random.normal(keys[0], (*stack, 8, *size, inputs), dtype)
  return x, jax.random.normal(keys[1], (*stack, *taps, inputs // groups, outputs), dtype)


def values_and_gradients(conv: Conv, window: Any, x: jax.Array, kernel: jax.Array) -> Any:
  """The result of a convolution and its gradients along a fixed direction."""
  y, pull = jax.vjp(lambda x, kernel: conv(x, kernel, *window[2:5]), x, kernel)
  direction = jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape).astype(y.dtype)
  return y, *pull(direction)


def assert_close(got: Any, expected: Any) -> None:
  """Compares two trees, relative to the largest value of each array."""
  for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    scale = np.abs(theirs).max() + 1e-30
    tolerance = TOLERANCES[got[0].dtype.name]
    np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=tolerance)


@needs_onednn
@pytest.mark.parametrize(
  ('window', 'dtype'),
  [
    *((window, 'float32') for window in WINDOWS),
    *((window, ('float16', 'bfloat16')[i % 2]) for i, window in enumerate(WINDOWS)),
  ],
  ids=str,
)
def test_values_and_gradients_are_those_of_xla(window: Any, dtype: str) -> None:
  x, kernel = draw(window, dtype)
  ours, theirs = (
    jax.jit(functools.partial(values_and_gradients, conv, window))
    for conv in (onednn.convolve, plain)
  )
  assert 'cifar_jax.kernel_gradient' in ours.lower(x, kernel).as_text()
  assert_close(ours(x, kernel), theirs(x, kernel))


def in_a_loop(function: Any) -> Any:
  return lambda x, kernel: jax.lax.map(lambda _: function(x, kernel), jnp.arange(2))


def in_a_conditional(function: Any) -> Any:
  return lambda x, kernel: jax.lax.cond(
    x[0, 0, 0, 0] < 9, function, lambda *a: function(*a), x, kernel
  )


def rematerialized(function: Any) -> Any:
  return jax.checkpoint(function)


@needs_onednn
@pytest.mark.parametrize('setting', [in_a_loop, in_a_conditional, rematerialized])
def test_values_and_gradients_hold_in_loops_conditionals_and_remat(setting: Any) -> None:
  window = WINDOWS[1]
  ours, theirs = (
    jax.jit(setting(functools.partial(values_and_gradients, conv, window)))(*draw(window))
    for conv in (onednn.convolve, plain)
  )
  assert_close(ours, theirs)


@needs_onednn
@pytest.mark.parametrize('in_axes', [(0, 0), (0, None), (None, 0)])
@pytest.mark.parametrize('window', [WINDOWS[1], WINDOWS[8]], ids=str)
def test_vmap_over_images_kernels_or_both(window: Any, in_axes: Any) -> None:
  inputs = [
    array if axis == 0 else array[0]
    for array, axis in zip(draw(window, stack=(3,)), in_axes, strict=True)
  ]
  ours, theirs = (
    jax.jit(jax.vmap(functools.partial(values_and_gradients, conv, window), in_axes))(*inputs)
    for conv in (onednn.convolve, plain)
  )
  assert_close(ours, theirs)


@needs_onednn
def test_nested_vmap() -> None:
  window = WINDOWS[0]
  run = lambda conv: jax.vmap(jax.vmap(functools.partial(values_and_gradients, conv, window)))  # noqa: E731
  inputs = draw(window, stack=(2, 3))
  assert_close(run(onednn.convolve)(*inputs), run(plain)(*inputs))


@needs_onednn
def test_second_derivatives_are_those_of_xla() -> None:
  window = WINDOWS[9]
  x, kernel = draw(window)

  def slope(conv: Conv, x: jax.Array, kernel: jax.Array) -> jax.Array:
    loss = lambda x, kernel: jnp.sum(jnp.sin(conv(x, kernel, *window[2:5])))  # noqa: E731
    to_x, to_kernel = jax.grad(loss, (0, 1))(x, kernel)
    return jnp.sum(jnp.cos(to_x)) + jnp.sum(jnp.cos(to_kernel))

  ours, theirs = (
    jax.jit(jax.grad(functools.partial(slope, conv), (0, 1)))(x, kernel)
    for conv in (onednn.convolve, plain)
  )
  for a, b in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * float(jnp.abs(b).max()))


@needs_onednn
@pytest.mark.parametrize('empty', ['batch', 'channels'])
def test_empty_arrays_have_zero_gradients(empty: str) -> None:
  x = jnp.ones((0, 4, 4, 2) if empty == 'batch' else (2, 4, 4, 0))
  kernel = jnp.ones((3, 3, x.shape[-1], 3))
  y, to_x, to_kernel = values_and_gradients(
    onednn.convolve, (0, 0, (1, 1), ((1, 1),) * 2, 1), x, kernel
  )
  assert y.shape == (*x.shape[:3], 3) and not np.any(y)
  assert to_x.shape == x.shape and to_kernel.shape == kernel.shape and not np.any(to_kernel)


@needs_onednn
def test_a_mesh_splits_the_batch_and_sums_the_kernels_gradient() -> None:
  window = WINDOWS[0]
  x, kernel = draw(window)
  mesh = Mesh(np.array(jax.devices()), ('data',))

  def step(kernel: jax.Array, x: jax.Array) -> Any:
    return values_and_gradients(onednn.convolve, window, x, kernel)

  split = jax.device_put(x, NamedSharding(mesh, PartitionSpec('data')))
  whole = jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))
  expected = step(kernel, x)
  jitted: Any = jit_step(step, mesh)
  compiled = jitted.lower(whole, split).compile()
  calls = [line for line in compiled.as_text().splitlines() if 'cifar_jax.' in line]
  assert calls and all('[1,8,8,' in line for line in calls)  # one image of eight for each device
  assert_close(compiled(whole, split), expected)
  half = (
    jax.ShapeDtypeStruct(array.shape, jnp.bfloat16, sharding=array.sharding)
    for array in (whole, split)
  )
  sums = re.findall(
    r'all_reduce.*?}\) : \(tensor<[0-9x]+x(\w+)>', jitted.lower(*half).as_text(), re.S
  )
  assert sums and set(sums) == {'f32'}  # of the devices' gradients, rounded to bfloat16 once


@needs_onednn
def test_the_same_inputs_give_the_same_bits_each_time() -> None:
  window = ((16, 16), (3, 3), (1, 1), ((1, 1), (1, 1)), 1, 16, 16)
  run = jax.jit(functools.partial(values_and_gradients, onednn.convolve, window))
  first = run(*draw(window))
  for _ in range(20):
    jax.tree.map(np.testing.assert_array_equal, run(*draw(window)), first)


@needs_onednn
def test_a_dtype_that_the_processor_is_slow_with_is_computed_in_float32(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  loaded = onednn.load()
  assert loaded
  monkeypatch.setattr(loaded, 'dtypes', frozenset({np.dtype('float32')}))
  window = WINDOWS[0]
  program = jax.jit(functools.partial(values_and_gradients, onednn.convolve, window))
  x, kernel = draw(window, 'bfloat16')
  calls = [line for line in program.lower(x, kernel).as_text().splitlines() if 'cifar_jax.' in line]
  assert len(calls) == 3 and not any('bf16' in call for call in calls)
  assert_close(program(x, kernel), values_and_gradients(plain, window, x, kernel))


@needs_onednn
def test_wrong_input_is_an_error_of_jax_with_a_message() -> None:
  results = [jax.ShapeDtypeStruct((1, 9, 9, 1), jnp.float32), jax.ShapeDtypeStruct((0,), jnp.uint8)]
  call = jax.ffi.ffi_call('cifar_jax.convolution', results)
  attributes = {'strides': np.array((1, 1)), 'padding': np.zeros(4, int), 'groups': np.int64(1)}
  with pytest.raises(jax.errors.JaxRuntimeError, match="oneDNN's convolution"):
    call(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), **attributes)


@needs_onednn
@pytest.mark.slow
def test_a_thousand_steps_need_no_more_memory() -> None:
  window = ((32, 32), (3, 3), (1, 1), ((1, 1), (1, 1)), 1, 16, 16)
  run = jax.jit(functools.partial(values_and_gradients, onednn.convolve, window))
  inputs = draw(window)
  peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # noqa: E731, in KiB
  for _ in range(100):
    jax.block_until_ready(run(*inputs))
  before = peak()
  for _ in range(1000):
    jax.block_until_ready(run(*inputs))
  assert peak() - before < 4096


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
  """An empty cache, and a `load` that remembers nothing; yields the cache's folder."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.delenv(library.CHOICE, raising=False)
  monkeypatch.delenv('CXX', raising=False)
  library.load.cache_clear()
  yield tmp_path / 'cache' / 'cifar_jax'
  library.load.cache_clear()


def hide_compilers(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
  monkeypatch.setenv('PATH', str(tmp_path))
  return 'no C++ compiler was found; install g++'


def break_the_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
  compiler = tmp_path / 'broken'
  compiler.write_text('#!/bin/sh\necho "fatal error: dnnl.hpp not there" >&2\nexit 7\n')
  compiler.chmod(0o755)
  monkeypatch.setenv('CXX', str(compiler))
  return f'{compiler} ended with 7: fatal error: dnnl.hpp not there'


def lose_the_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
  monkeypatch.setenv('CXX', str(tmp_path / 'absent'))
  return f'the compiler {tmp_path / "absent"} failed: '


def put_a_file_in_place_of_the_cache(
  monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> str:
  (tmp_path / 'file').touch()
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  return 'Not a directory'


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
  def full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(library, '_compile', full)
  return 'the disk is full: make room'


def lose_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
  monkeypatch.delenv('XDG_CACHE_HOME')
  monkeypatch.setattr(os.path, 'expanduser', lambda path: path)  # a user without an entry or HOME
  return 'there is no home directory ~: set HOME'


def lose_the_cache_to_another_user(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
  (tmp_path / 'cache' / 'cifar_jax').mkdir(parents=True)
  monkeypatch.setattr(library, 'is_own', lambda path: path.name != 'cifar_jax')
  return f'others can write in {tmp_path}/cache/cifar_jax'


def link_other_functions(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
  libdnnl = library._file_of_package(library.PACKAGES[0], 'libdnnl.so.3')
  monkeypatch.setattr(library, '_built', lambda: libdnnl)
  return 'undefined symbol: convolution'


def uninstall(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
  monkeypatch.setattr(library, 'PACKAGES', ('no-such-package', 'nor-this'))
  return 'pip install no-such-package nor-this'


def change_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
  monkeypatch.setattr(library.platform, 'machine', lambda: 'arm64')
  return 'its packages exist for Linux on x86-64 only'


OBSTACLES = [
  hide_compilers,
  break_the_compiler,
  lose_the_compiler,
  put_a_file_in_place_of_the_cache,
  fill_the_disk,
  lose_the_home,
  lose_the_cache_to_another_user,
  link_other_functions,
  uninstall,
  change_the_platform,
]


@needs_onednn
@pytest.mark.parametrize('obstacle', OBSTACLES)
def test_without_onednn_xla_convolves_and_the_log_says_why(
  unloaded: pathlib.Path,
  obstacle: Any,
  monkeypatch: pytest.MonkeyPatch,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
) -> None:
  reason = obstacle(monkeypatch, tmp_path)
  with caplog.at_level(logging.WARNING):
    assert not onednn.load() and not onednn.load()
  (line,) = caplog.messages  # once, not at each convolution
  assert reason in line and '\n' not in line
  x, kernel = draw(WINDOWS[0])
  assert 'custom_call' not in jax.jit(layers.convolve, static_argnums=(2, 3)).lower(
    x, kernel, (1, 1), 'SAME'
  ).as_text()  # fmt: skip
  assert not unloaded.exists() or not list(unloaded.glob('*.so*'))
  library.load.cache_clear()
  monkeypatch.setenv(library.CHOICE, 'onednn')
  with pytest.raises(InputError, match='CIFAR_JAX_CPU_CONV is onednn, which cannot be used: '):
    onednn.load()


def test_the_user_chooses_between_xla_and_onednn(
  unloaded: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
  monkeypatch.setenv(library.CHOICE, 'xla')
  assert not onednn.load() and not caplog.messages and not unloaded.exists()
  library.load.cache_clear()
  monkeypatch.setenv(library.CHOICE, 'mkl')
  with pytest.raises(InputError, match="CIFAR_JAX_CPU_CONV is 'mkl'; give onednn or xla"):
    onednn.load()


@needs_onednn
@pytest.mark.slow
def test_several_processes_build_the_library_once(
  unloaded: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  # A compiler that takes a second and counts its calls.
  compiler = tmp_path / 'counting'
  compiler.write_text(
    f'#!/bin/sh\necho call >> {tmp_path}/calls\nsleep 1\n'
    f'for last; do :; done\necho built {" ".join(library.FUNCTIONS)} > "$last"\n'
  )
  compiler.chmod(0o755)
  command = 'from cifar_jax.models.layers.onednn import library; print(library._built())'
  environment = os.environ | {'CXX': str(compiler)}
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', command], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    for _ in range(3)
  ]
  paths = {process.communicate()[0] for process in processes}
  assert len(paths) == 1 and (tmp_path / 'calls').read_text() == 'call\n'
  assert pathlib.Path(paths.pop().strip()).read_bytes().startswith(b'built ')


@needs_onednn
@pytest.mark.parametrize(
  'damage',
  ['truncated', 'emptied', 'changed', 'without its checksum', 'of other functions', 'for others'],
)
def test_a_library_that_is_damaged_or_not_of_the_user_alone_is_built_again(
  unloaded: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, damage: str
) -> None:
  compiler = tmp_path / 'compiler'
  text = ' '.join(library.FUNCTIONS)
  compiler.write_text(f'#!/bin/sh\nfor last; do :; done\necho a library {text} > "$last"\n')
  compiler.chmod(0o755)
  monkeypatch.setenv('CXX', str(compiler))
  path = library._built()
  whole = path.read_bytes()
  damaged = {'truncated': whole[:-6], 'emptied': b'', 'changed': b'A' + whole[1:]}
  damaged |= {'of other functions': b'a' + library._checksum(b'a'), 'for others': whole}
  path.write_bytes(damaged.get(damage, whole[:-4]))
  path.chmod(0o777 if damage == 'for others' else 0o700)
  compiler.write_text(compiler.read_text() + f'touch {tmp_path}/called\n')
  assert library._built() == path and path.read_bytes() == whole
  assert (tmp_path / 'called').exists()
  (tmp_path / 'called').unlink()
  assert library._built() == path and not (tmp_path / 'called').exists()
