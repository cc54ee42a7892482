"""Checkpoints of PyTorch are read without it; nothing in them is executed."""

import pathlib
import pickle
import zipfile
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.convert import engine, files, torch_file
from tests.support import torch_archive
from tests.support.fake_cifar import message
from tests.support.filled import filled_variables
from tests.support.paths import REFERENCE
from tests.support.torch_archive import dictionary, tensor

FLOAT = 'FloatStorage'


def test_a_checkpoint_that_pytorch_wrote_is_read() -> None:
  arrays = files.read(REFERENCE / 'checkpoint.pth')
  numbers = np.arange(12, dtype=np.float32)
  expected = {
    '0.weight': numbers[:2].reshape(2, 1, 1, 1),
    '0.bias': numbers[:2],
    '1.weight': numbers[:2],
    '1.bias': numbers[:2],
    'transposed': numbers.reshape(3, 4).T,
    'part': numbers[2:7],
    'bfloat16': numbers.astype(jnp.bfloat16),
    'half': numbers[:3].astype(np.float16),
    'empty': np.zeros((0, 3), np.float32),
    'parameter': numbers[:2],
  }
  for name, array in expected.items():
    read = arrays.pop(f'module.{name}')
    assert read.dtype == array.dtype, name
    np.testing.assert_array_equal(read, array)
  statistics = {'module.1.running_mean', 'module.1.running_var', 'module.1.num_batches_tracked'}
  assert set(arrays) == statistics and arrays['module.1.num_batches_tracked'] == 1


@pytest.mark.parametrize('prefix', ['', 'module.', '_orig_mod.', '_orig_mod.module.model.'])
def test_a_state_dict_gives_the_variables_of_a_model_whatever_prefix_all_names_have(
  prefix: str, tmp_path: pathlib.Path
) -> None:
  model = models.create('resnet8')
  expected = filled_variables(model)
  arrays = engine.to_state_dict(expected, model, 'akamaster')
  state_dict = {f'{prefix}{name}': array for name, array in arrays.items()}
  path = torch_archive.write_state_dict(tmp_path / 'net.pt', state_dict)
  jax.tree.map(
    np.testing.assert_array_equal, engine.to_variables(path, model, 'akamaster'), expected
  )


def test_a_prefix_that_not_all_names_have_stays() -> None:
  arrays = {'model.a': np.ones(1), 'b': np.ones(1)}
  assert set(engine._read_arrays(arrays)) == set(arrays)


class Canary:
  """Leaves a file where it is unpickled."""

  def __init__(self, path: pathlib.Path) -> None:
    self._path = path

  def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
    """Opens the file for writing."""
    return open, (str(self._path), 'w')


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_in_a_checkpoint_is_executed(protocol: int, tmp_path: pathlib.Path) -> None:
  hostile = pickle.dumps({'x': Canary(tmp_path / 'canary')}, protocol)
  path = tmp_path / 'net.pth'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('net/data.pkl', hostile)
  assert 'holds no state_dict' in message(lambda: torch_file.read(path))
  assert not (tmp_path / 'canary').exists()


def test_what_is_not_a_tensor_is_passed_over_and_not_executed(tmp_path: pathlib.Path) -> None:
  calls = b'cos\nsystem\n(' + torch_archive.text(f'touch {tmp_path}/canary') + b'tR'
  items = {'weight': tensor('0', FLOAT, [2], [1]), 'evil': calls}
  path = torch_archive.write(tmp_path / 'net.pth', dictionary(items), {'0': bytes(8)})
  assert list(torch_file.read(path)) == ['weight']
  assert not (tmp_path / 'canary').exists()


IDENTITY = torch_archive.text('storage') + b'ctorch\nFloatStorage\n' + torch_archive.text('0')
MANY = b'K\x01' * 100_000
ONE = dictionary({'w': tensor('0', FLOAT, [2], [1])})
HOSTILE = {
  'a tensor beyond its storage': dictionary({'w': tensor('0', FLOAT, [3], [1])}),
  'an offset beyond its storage': dictionary({'w': tensor('0', FLOAT, [2], [1], 1)}),
  'a stride beyond its storage': dictionary({'w': tensor('0', FLOAT, [2], [2])}),
  'a negative stride': dictionary({'w': tensor('0', FLOAT, [2], [-1], 1)}),
  'a negative offset': dictionary({'w': tensor('0', FLOAT, [2], [1], -1)}),
  'a negative length': dictionary({'w': tensor('0', FLOAT, [-2], [1])}),
  'as many strides as axes': dictionary({'w': tensor('0', FLOAT, [2, 1], [1])}),
  'an unknown type': dictionary({'w': tensor('0', 'ObjectStorage', [2], [1])}),
  'a storage that is not there': dictionary({'w': tensor('7', FLOAT, [2], [1])}),
  'a storage of another folder': dictionary({'w': tensor('../../0', FLOAT, [2], [1])}),
  'a petabyte of one number': dictionary({'w': tensor('0', FLOAT, [10**15], [0])}),
  'a million views of one storage': dictionary({
    f'w{i}': tensor('0', FLOAT, [100, 100], [0, 0]) for i in range(100)
  }),
  'a pickle that ends early': b'(((',
  'a number as the class of a storage': dictionary({'w': b'(K\x01K\x02K\x03tQ'}),
  'a shape of many axes': dictionary({'w': tensor('0', FLOAT, [1] * 65, [1] * 65)}),
  'an identity that many storages share': (
    b'((' + IDENTITY + MANY + b'tq\x00' + b'h\x00Q' * 100 + b'l'
  ),
  'arguments that many tensors share': (
    b'(ctorch._utils\n_rebuild_tensor_v2\nq\x00((' + IDENTITY + b'tQK\x00))' + MANY + b'tq\x01'
    + b'h\x00h\x01R' * 100 + b'l'
  ),
  'a key that takes years to hash': b'}' + b')' + b'2\x86' * 40 + b'K\x01s',
}  # fmt: skip


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_tensors_are_refused_in_one_line(name: str, tmp_path: pathlib.Path) -> None:
  path = torch_archive.write(tmp_path / 'net.pth', HOSTILE[name], {'0': bytes(8)})
  text = message(lambda: torch_file.read(path))
  assert text.startswith(str(path)) and ('damaged' in text or 'larger than the file' in text), text


def test_other_archives_and_earlier_versions_are_told_what_to_do(tmp_path: pathlib.Path) -> None:
  path = tmp_path / 'net.pth'
  torch_archive.write(path, ONE, {'0': bytes(8)}, zipfile.ZIP_DEFLATED)
  assert 'compressed' in message(lambda: torch_file.read(path))
  path.write_bytes(pickle.dumps({'weight': 1}))
  assert 'safetensors.torch.save_file' in message(lambda: files.read(path))
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('x/y', b'')
  assert 'no checkpoint of PyTorch' in message(lambda: files.read(path))
  torch_archive.write(path, ONE, {'0': bytes(8)})
  content = path.read_bytes()
  for cut in (1, len(content) // 2, len(content) - 30):
    path.write_bytes(content[:cut])
    assert str(path) in message(lambda: files.read(path))
  position = content.index(bytes(8))
  path.write_bytes(content[:position] + b'\1' + content[position + 1 :])  # fails its CRC-32
  assert 'damaged' in message(lambda: files.read(path))
