"""What all tests share: eight virtual devices, compiled programs and a small CIFAR-10 on disk."""

import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import jaxlib
import numpy as np
import pytest

from cifar_jax import backend

# Most of a test's time is compilation; unoptimised machine code computes the same, if slower.
FLAGS = [
  '--xla_force_host_platform_device_count=8',
  '--xla_backend_optimization_level=0',
  '--xla_llvm_disable_expensive_passes=true',
]
if jaxlib.__version__.startswith('0.10.'):  # later ones do not know it, and end where they see it
  FLAGS.append('--xla_cpu_use_fusion_emitters=false')
os.environ['XLA_FLAGS'] = ' '.join([os.environ.get('XLA_FLAGS', ''), *FLAGS])
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Many tests run the same programs, in processes of their own: what one has compiled, all have.
COMPILED = 'JAX_COMPILATION_CACHE_DIR'
_own_cache = COMPILED not in os.environ  # not so in the workers, which are started with it
if _own_cache:
  os.environ[COMPILED] = tempfile.mkdtemp(prefix='cifar_jax_tests_')
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.3'
backend.prepare()

FILES = [f'data_batch_{i}.bin' for i in range(1, 6)] + ['test_batch.bin']


def pytest_unconfigure() -> None:
  """Leaves nothing behind."""
  if _own_cache:
    shutil.rmtree(os.environ[COMPILED], ignore_errors=True)


@pytest.fixture
def compiled_afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
  """Within the test everything is compiled, here and in the processes that it starts."""
  import jax  # not before the environment is set, which it reads
  from jax.experimental.compilation_cache import compilation_cache

  monkeypatch.setenv('JAX_ENABLE_COMPILATION_CACHE', 'false')
  jax.config.update('jax_enable_compilation_cache', False)
  compilation_cache.reset_cache()  # JAX looks once whether there is one
  yield
  jax.config.update('jax_enable_compilation_cache', True)
  compilation_cache.reset_cache()


@pytest.fixture(scope='session')
def tiny_cifar(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A data directory with 240 training and 48 test images, as the official folder has them.

  The upper half of each image is lit by its class, so that there is something to learn.
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
