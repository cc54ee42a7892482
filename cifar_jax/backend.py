"""What XLA and the C library are told first, because their defaults cost a user speed."""

import ctypes
import importlib.metadata
import os
import sys

# jaxlib hands single convolutions on CPUs to YNNPACK; XLA's own take less time: a training step of
# ResNet-20 on two cores 592 ms instead of 946 (jaxlib 0.10.2), 654 instead of 769 (0.12.0).
CPU_CONVOLUTIONS = '--xla_cpu_experimental_ynn_fusion_type'
# XLA ends the process at a flag it does not know, so this goes only to versions where it was tried.
KNOWN_VERSIONS = ('0.10.', '0.12.')

# glibc gives large buffers back to the system when a step is done, and has them mapped and zeroed
# anew, page by page, in the next. Here it keeps them. By the variable that a user can set instead:
# the parameter's number in malloc.h, and its value.
MALLOC = {
  'MALLOC_ARENA_MAX': (-8, 1),
  'MALLOC_MMAP_MAX_': (-4, 0),
  'MALLOC_TRIM_THRESHOLD_': (-1, 2**31 - 1),
  'MALLOC_TOP_PAD_': (-2, 2**28),
}

# With it XLA takes only kernels that give the same bits each time, and refuses to compile what has
# none. Nothing else reads it; jaxlib 0.10.2 knows it without a GPU too.
DETERMINISTIC = '--xla_gpu_deterministic_ops'

_done: list[str] = []  # since the program began, for its log


def prepare() -> None:
  """To be called before JAX starts; what the user has set in the environment stays as it is."""
  if importlib.metadata.version('jaxlib').startswith(KNOWN_VERSIONS):
    _add_flag(CPU_CONVOLUTIONS, '-individual_convolution')
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None) if sys.platform == 'linux' else None
  if mallopt and not MALLOC.keys() & os.environ.keys():
    for name, (parameter, value) in MALLOC.items():
      mallopt(parameter, value)
      _note(f'{name}={value}')


def make_deterministic() -> None:
  """To be called before JAX starts: GPUs then compute the same bits each time."""
  _add_flag(DETERMINISTIC, 'true')


def _add_flag(flag: str, value: str) -> None:
  flags = os.environ.get('XLA_FLAGS', '')
  if flag not in flags:
    os.environ['XLA_FLAGS'] = f'{flags} {flag}={value}'.strip()
    _note(f'{flag}={value}')


def _note(setting: str) -> None:
  if setting not in _done:
    _done.append(setting)


def told() -> str:
  """What was set, in a line, for the log of a run."""
  return f'set before JAX started: {" ".join(_done) or "nothing"}'
