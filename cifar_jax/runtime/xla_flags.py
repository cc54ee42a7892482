"""Settings of XLA, OpenMP and the C library, made on `import cifar_jax`, mostly for speed."""

import ctypes
import importlib.metadata
import importlib.util
import logging
import os
import pathlib
import sys

from cifar_jax.errors import InputError

logger = logging.getLogger(__name__)

# What jaxlib hands to YNNPACK on CPUs. Single convolutions take less time in XLA's own form: a
# training step of ResNet-20 on two cores 592 ms instead of 946 (jaxlib 0.10.2), 654 instead of 769
# (0.12.0). Reductions that YNNPACK joins with pads, convolutions and sums end in a segmentation
# fault of jaxlib 0.10.2: the evaluation of `pyramidnet20_a84` at batch 8, for one.
YNN_FUSIONS = '--xla_cpu_experimental_ynn_fusion_type', '-individual_convolution,-reduce'
# XLA ends the process at an unknown flag, so only versions that were tried get this one.
KNOWN_VERSIONS = ('0.10.', '0.12.')

# By default glibc returns large buffers to the system after a step, which then has to map and zero
# them page by page in the next step. With these settings glibc keeps them. The keys are the
# environment variables by which a user can set the same; the values are the number of the parameter
# in malloc.h and its value. Memory above the threshold of 2 GiB is returned. Without a
# threshold, -1, a step of DenseNet-BC-100 at batch 128, which needs 4 GiB, takes 6.0 s instead of
# 8.8 where nothing else is allocated between the steps; where something is, memory grew to 17 GiB.
MALLOC = {
  'MALLOC_ARENA_MAX': (-8, 1),
  'MALLOC_MMAP_MAX_': (-4, 0),
  'MALLOC_TRIM_THRESHOLD_': (-1, 2**31 - 1),
  'MALLOC_TOP_PAD_': (-2, 2**28),
}
# They were measured for steps on CPUs, and are not made where JAX has one of these packages.
GPU_PLUGINS = ('jax_cuda12_plugin', 'jax_cuda13_plugin')

# oneDNN computes in threads of OpenMP. While they wait they sleep; otherwise they would take the
# processors from XLA's threads.
WAIT_POLICY, NUM_THREADS = 'OMP_WAIT_POLICY', 'OMP_NUM_THREADS'
QUOTA = pathlib.Path('/sys/fs/cgroup/cpu.max')  # of a container: microseconds, or max, per period

# With this flag XLA uses only kernels that give the same bits each time. A scatter into places that
# may be equal then takes one after another; deformable convolutions have such ones as gradients.
# Only the GPU compiler reads the flag; jaxlib 0.10.2 without a GPU accepts it too.
DETERMINISTIC = '--xla_gpu_deterministic_ops'

_settings_made: list[str] = []  # since the program began, for the log of a run
_is_too_late = False  # whether JAX had started before the settings could be made


def prepare_on_import() -> None:
  """Makes the settings for speed, or says in the log that it is too late, as JAX has started."""
  global _is_too_late
  _is_too_late = _has_jax_started()
  if _is_too_late:
    logger.warning('JAX started before cifar_jax was imported: the settings for speed are not made')
  else:
    prepare()


def _has_jax_started() -> bool:
  bridge = sys.modules.get('jax._src.xla_bridge')  # private; JAX has no public question for this
  return bool(bridge and bridge.backends_are_initialized())


def were_too_late() -> bool:
  """Whether JAX had started before the settings for speed could be made; it rounds otherwise."""
  return _is_too_late


def refuse_other_dtypes() -> None:
  """Raises InputError if JAX computes in 64 bits or refuses to mix dtypes, as no model here can."""
  jax = sys.modules.get('jax')
  asked = os.environ.get('JAX_ENABLE_X64', '').lower() in ('1', 'true', 'yes', 'on', 't', 'y')
  if jax.config.jax_enable_x64 if jax else asked:
    raise InputError('JAX_ENABLE_X64 is set, but nets are trained in 16 or 32 bits; unset it')
  rules = os.environ.get('JAX_NUMPY_DTYPE_PROMOTION', '')
  if (jax.config.jax_numpy_dtype_promotion if jax else rules) == 'strict':
    raise InputError('JAX_NUMPY_DTYPE_PROMOTION is strict, but the nets mix dtypes; unset it')


def prepare() -> None:
  """Makes the settings for speed; they have an effect only before JAX starts.

  A flag or a variable that the user has set in the environment stays as it is.

  Raises:
    ImportError: JAX is not installed.
  """
  try:
    version = importlib.metadata.version('jaxlib')
  except importlib.metadata.PackageNotFoundError:
    raise ImportError(
      f'JAX is not installed for {sys.executable}: use .venv/bin/python, which `make demo` makes '
      'in a clone, or install cifar_jax with pip'
    ) from None
  if version.startswith(KNOWN_VERSIONS):
    _add_flag(*YNN_FUSIONS)
  for name, setting in _of_openmp().items():
    if name not in os.environ:
      os.environ[name] = setting
      _record(f'{name}={setting}')
  is_measured = sys.platform == 'linux' and not any(map(importlib.util.find_spec, GPU_PLUGINS))
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None) if is_measured else None
  if mallopt and not MALLOC.keys() & os.environ.keys():
    for name, (parameter, value) in MALLOC.items():
      mallopt(parameter, value)
      _record(f'{name}={value}')


def _of_openmp() -> dict[str, str]:
  """The settings of OpenMP, by the names of their variables."""
  return {WAIT_POLICY: 'passive', NUM_THREADS: str(num_processors())}


def is_own(name: str, value: str) -> bool:
  """Whether an environment variable is as this module would set it."""
  return _of_openmp().get(name) == value


def num_processors() -> int:
  """The number of processors that this process may use, by its affinity and by its quota."""
  if hasattr(os, 'sched_getaffinity'):
    allowed = len(os.sched_getaffinity(0))
  else:
    allowed = os.cpu_count() or 1
  try:
    quota, period = QUOTA.read_text().split()
    return max(1, min(allowed, round(int(quota) / int(period))))
  except (OSError, ValueError):  # there is no such file, or it says max
    return allowed


def make_deterministic() -> None:
  """Makes GPUs compute the same bits each time; call it before JAX starts.

  Raises:
    InputError: JAX has started on a GPU without this setting, as in a notebook after another run.
  """
  is_set = DETERMINISTIC in os.environ.get('XLA_FLAGS', '')
  if not is_set and _has_jax_started() and sys.modules['jax'].default_backend() == 'gpu':
    raise InputError(
      f'train.deterministic is a setting of XLA ({DETERMINISTIC}), and JAX has started without it: '
      'restart the program or the kernel of the notebook, and train this run first'
    )
  _add_flag(DETERMINISTIC, 'true')


def _add_flag(flag: str, value: str) -> None:
  flags = os.environ.get('XLA_FLAGS', '')
  if flag not in flags:
    os.environ['XLA_FLAGS'] = f'{flags} {flag}={value}'.strip()
    _record(f'{flag}={value}')


def without_own(flags: str) -> str:
  """The words of a value of `XLA_FLAGS` without those that this module adds to it."""
  own = ('='.join(YNN_FUSIONS), f'{DETERMINISTIC}=true')
  return ' '.join(word for word in flags.split() if word not in own)


def _record(setting: str) -> None:
  if setting not in _settings_made:
    _settings_made.append(setting)


def describe() -> str:
  """One line with all settings made so far, for the log of a run."""
  return f'set before JAX started: {" ".join(_settings_made) or "nothing"}'
