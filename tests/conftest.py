"""What all tests share: eight virtual devices and a small CIFAR-10 on disk."""

import os
import pathlib

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
backend.prepare()

FILES = [f'data_batch_{i}.bin' for i in range(1, 6)] + ['test_batch.bin']


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
