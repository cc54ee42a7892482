"""The setting of all tests: eight virtual CPU devices, compilation caches and a small CIFAR-10."""

import gc
import logging
import os
import pathlib
import shutil
import signal
import tempfile
from collections.abc import Iterator

import jaxlib
import numpy as np
import pytest

# Most of a test's time is compilation. Unoptimised machine code computes the same, only slower.
FLAGS = [
  '--xla_force_host_platform_device_count=8',
  '--xla_backend_optimization_level=0',
  '--xla_llvm_disable_expensive_passes=true',
]
if jaxlib.__version__.startswith('0.10.'):  # other versions end at a flag that they lack
  FLAGS += ['--xla_cpu_use_fusion_emitters=false', '--xla_cpu_parallel_codegen_split_count=1']
os.environ['XLA_FLAGS'] = ' '.join([os.environ.get('XLA_FLAGS', ''), *FLAGS])
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Many tests run the same programs in different processes; with a shared cache each program is
# compiled once.
CACHE_DIR = 'JAX_COMPILATION_CACHE_DIR'
_made_cache = CACHE_DIR not in os.environ  # the workers of pytest-xdist get it from their parent
if _made_cache:
  os.environ[CACHE_DIR] = tempfile.mkdtemp(prefix='cifar_jax_tests_')
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.1'
  if os.environ.pop('PYTHONDONTWRITEBYTECODE', None):
    # Then each process would compile all modules that it imports, which takes seconds.
    os.environ['PYTHONPYCACHEPREFIX'] = os.path.join(os.environ[CACHE_DIR], 'bytecode')

# A shell that starts the tests in the background has them ignore Ctrl-C, nohup the end of the
# terminal, and the programs that they start would too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

FILES = [f'data_batch_{i}.bin' for i in range(1, 6)] + ['test_batch.bin']


def pytest_collection_finish() -> None:
  """Has the garbage collector leave alone what is imported, which takes a tenth of all time."""
  gc.collect()
  gc.freeze()
  gc.set_threshold(50_000, 20, 20)


def pytest_unconfigure() -> None:
  """Removes the compilation caches."""
  if _made_cache:
    shutil.rmtree(os.environ[CACHE_DIR], ignore_errors=True)


@pytest.fixture
def compiled_afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
  """Turns the compilation cache off within a test and the processes that it starts."""
  import jax  # reads the environment, so not before it is set
  from jax.experimental.compilation_cache import compilation_cache

  monkeypatch.setenv('JAX_ENABLE_COMPILATION_CACHE', 'false')
  jax.config.update('jax_enable_compilation_cache', False)
  compilation_cache.reset_cache()  # JAX looks only once whether there is a cache
  yield
  jax.config.update('jax_enable_compilation_cache', True)
  compilation_cache.reset_cache()


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
  """Leaves out the pictures and the page of a run, which take longer than its steps."""
  from cifar_jax.training import session  # imports jax

  monkeypatch.setattr(session, 'report_run', lambda *_: None)


@pytest.fixture(scope='session')
def tiny_cifar(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A data directory with 240 training and 48 test images, in the official binary form.

  The brightness of each image's upper half depends on its class, so that a net can learn something.
  """
  root = tmp_path_factory.mktemp('cifar')
  folder = root / 'cifar-10-batches-bin'
  folder.mkdir()
  random = np.random.RandomState(0)
  for name in FILES:
    labels = random.permutation(np.arange(48) % 10).astype(np.uint8)
    pixels = random.randint(0, 100, (48, 3, 32, 32), np.uint8)
    pixels[:, :, :16] += (labels * 15)[:, None, None, None]
    (folder / name).write_bytes(
      np.concatenate([labels[:, None], pixels.reshape(48, -1)], axis=1).tobytes()
    )
  return root


@pytest.fixture(autouse=True)
def restored_log() -> Iterator[None]:
  """Puts the program's log back as it was: commands send it to the console, away from `caplog`."""
  logger = logging.getLogger('cifar_jax')
  before = logger.handlers[:], logger.level, logger.propagate
  yield
  logger.handlers[:], logger.propagate = before[0], before[2]
  logger.setLevel(before[1])
