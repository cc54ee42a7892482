"""Builds the foreign functions of this folder once per machine, and loads them.

They are built at first use and not at installation, for three reasons. Then they are compiled
against the headers of the very jaxlib that will call them, again after each update. The package
stays free of machine code. A missing compiler costs speed and not the installation.
"""

import ctypes
import functools
import hashlib
import importlib.metadata
import logging
import os
import pathlib
import platform
import shutil
import subprocess
import zlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax import input_files, paths
from cifar_jax.errors import InputError, ShortageError
from cifar_jax.output_files import replacing
from cifar_jax.own_files import is_own, lock, open_own

logger = logging.getLogger(__name__)

CHOICE = 'CIFAR_JAX_CPU_CONV'  # environment variable: `onednn`, `xla`, or absent for either
COMPILERS = ('c++', 'g++', 'clang++')  # tried in this order, after the variable CXX
COMPILE_LIMIT = 600  # seconds
_CHECKSUM_BYTES = 4  # behind the library in its file, where the system's loader does not look
OPERATIONS = (  # in the order of `Operation` in convolution.cc
  'convolution',
  'input_gradient',
  'kernel_gradient',
)
TARGETS = (*OPERATIONS, 'channel_sums')
FUNCTIONS = (*TARGETS, 'has_type', 'scratch_bytes')
OPTIONS = ('-std=c++17', '-O3', '-shared', '-fPIC')
SOURCES = tuple(
  pathlib.Path(__file__).with_name(name) for name in ('convolution.cc', 'channel_sums.cc')
)
PACKAGES = ('onednn-cpu-gomp', 'onednn-devel-cpu-gomp')  # the library and its headers
# By the number that `has_type` of convolution.cc gives them.
DTYPES = tuple(np.dtype(dtype) for dtype in (jnp.float32, jnp.bfloat16, jnp.float16))


class _UnavailableError(Exception):
  """oneDNN cannot be used here; the message says why, and what can be done."""


class Library:
  """The loaded library, whose functions are registered with XLA as `cifar_jax.<target>`.

  Attributes:
    dtypes: the dtypes that this processor convolves fast with oneDNN.
  """

  def __init__(self, functions: ctypes.CDLL) -> None:
    """Registers the functions of the built library."""
    for target in TARGETS:
      capsule = jax.ffi.pycapsule(getattr(functions, target))
      jax.ffi.register_ffi_target(f'cifar_jax.{target}', capsule, platform='cpu')
    functions.has_type.restype = ctypes.c_bool
    functions.scratch_bytes.restype = ctypes.c_int64
    self._functions = functions
    self.dtypes = frozenset(dtype for i, dtype in enumerate(DTYPES) if functions.has_type(i))

  def scratch_bytes(self, target: str, dtype: Any, numbers: Sequence[int]) -> int:
    """The size of the scratch space of an operation.

    Args:
      target: a name of `OPERATIONS`.
      dtype: the dtype of all arrays, one of `DTYPES`.
      numbers: shapes of images, kernel and outputs, strides, padding and groups, in the order of
        `scratch_bytes` in `convolution.cc`.
    """
    array = (ctypes.c_int64 * len(numbers))(*numbers)
    return self._functions.scratch_bytes(OPERATIONS.index(target), DTYPES.index(dtype), array)


@functools.cache
def load() -> Library | None:
  """Builds and loads the library, at the first call.

  Returns:
    The library, or None where oneDNN is not used: by the user's choice, or because it cannot be.
    Then the log says why.

  Raises:
    InputError: the variable `CIFAR_JAX_CPU_CONV` has another value, or asks for oneDNN where it
      cannot be used.
  """
  choice = os.environ.get(CHOICE, '')
  if choice not in ('', 'onednn', 'xla'):
    raise InputError(f'{CHOICE} is {choice!r}; give onednn or xla, or unset it')
  if choice == 'xla':
    return None
  try:
    path = _built()
    # Loaded first, so that the other finds it by its name, wherever it is installed.
    ctypes.CDLL(str(_file_of_package(PACKAGES[0], 'libdnnl.so.3')))
    return Library(ctypes.CDLL(str(path)))
  except (_UnavailableError, InputError, ShortageError, OSError, AttributeError) as error:
    if choice == 'onednn':
      raise InputError(f'{CHOICE} is onednn, which cannot be used: {error}') from error
    logger.warning('convolutions are computed by XLA, which is slower than oneDNN: %s', error)
    return None


def _built() -> pathlib.Path:
  """The built library in the user's cache; compiles it if it is not there whole.

  Raises:
    _UnavailableError: it cannot be built here.
    InputError: the cache cannot be written.
    OSError: the same.
  """
  if platform.system() != 'Linux' or platform.machine() != 'x86_64':
    raise _UnavailableError('its packages exist for Linux on x86-64 only')
  libdnnl = _file_of_package(PACKAGES[0], 'libdnnl.so.3')
  include = _file_of_package(PACKAGES[1], 'dnnl.hpp').parent
  versions = [importlib.metadata.version(package) for package in (*PACKAGES, 'jaxlib')]
  # The C library too: in a cache that machines share, an older one cannot load what a newer built.
  origin = (*OPTIONS, *versions, *platform.libc_ver())
  contents = ' '.join([*(source.read_text() for source in SOURCES), *origin])
  digest = hashlib.sha256(contents.encode()).hexdigest()[:16]
  folder = paths.make_cache_folder()
  path = folder / f'onednn-{digest}.so'
  if not is_own(folder):
    raise _UnavailableError(
      f'others can write in {folder}, and what they put there would be run; make it yours alone '
      '(chown, chmod go-w), or set XDG_CACHE_HOME to another folder'
    )
  if _is_whole(path):
    return path
  compiler = os.environ.get('CXX') or next(filter(shutil.which, COMPILERS), None)
  if not compiler:
    raise _UnavailableError('no C++ compiler was found; install g++')
  with open_own(folder / 'onednn.lock') as file:
    lock(file, wait=True)
    if not _is_whole(path):  # no other process has built it meanwhile
      logger.info('compiling the convolutions of oneDNN, once for this machine, into %s', path)
      with replacing(path) as temporary:
        _compile(compiler, temporary, libdnnl, include)
        temporary.chmod(0o700)  # whatever the umask, nobody else may change it
        with temporary.open('ab') as library:
          library.write(_checksum(temporary.read_bytes()))
  return path


def _is_whole(path: pathlib.Path) -> bool:
  """Whether a library is there that is the user's own and can be loaded; a damaged one may crash.

  It has its checksum behind it, and names all functions.
  """
  try:
    content = input_files.read_bytes(path)
  except (OSError, ValueError):
    return False
  size = len(content) - _CHECKSUM_BYTES
  is_undamaged = size > 0 and content[size:] == _checksum(content[:size])
  return is_undamaged and is_own(path) and all(name.encode() in content for name in FUNCTIONS)


def _checksum(content: bytes) -> bytes:
  return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, 'little')


def _compile(
  compiler: str, output: pathlib.Path, libdnnl: pathlib.Path, include: pathlib.Path
) -> None:
  """Compiles `SOURCES` to a shared library; raises _UnavailableError if that fails."""
  folders = [f'-I{include}', f'-I{jax.ffi.include_dir()}']
  inputs = [*folders, *map(str, SOURCES), str(libdnnl)]
  command = [*compiler.split(), *OPTIONS, *inputs, '-o', str(output)]
  try:
    done = subprocess.run(
      command,
      capture_output=True,
      text=True,
      errors='replace',
      timeout=COMPILE_LIMIT,
      env=os.environ | {'LC_ALL': 'C'},  # messages in English
    )
  except (OSError, subprocess.TimeoutExpired) as error:
    raise _UnavailableError(f'the compiler {compiler} failed: {error}') from error
  if done.returncode:
    lines = [line for line in done.stderr.splitlines() if 'error' in line] or ['no message']
    raise _UnavailableError(f'{compiler} ended with {done.returncode}: {lines[0]}')


def _file_of_package(package: str, name: str) -> pathlib.Path:
  """The path of an installed package's file; raises _UnavailableError if it is missing."""
  try:
    files = importlib.metadata.files(package) or []
  except importlib.metadata.PackageNotFoundError:
    files = []
  found = [pathlib.Path(file.locate()).resolve() for file in files if file.name == name]
  if not found or not found[0].exists():
    raise _UnavailableError(f'pip install {" ".join(PACKAGES)}')
  return found[0]
