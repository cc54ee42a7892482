"""Small files of random images, in every form in which CIFAR is published."""

import dataclasses
import hashlib
import pathlib
import pickle
import struct
import tarfile
from collections.abc import Callable

import numpy as np
import pytest

from cifar_jax.data.dataset import Split
from cifar_jax.data.official import OFFICIAL, Form
from cifar_jax.errors import InputError

IMAGES_PER_FILE = 6


def message(call: Callable[[], object]) -> str:
  """The message of the InputError that a call must raise; checks that it is one line."""
  with pytest.raises(InputError) as info:
    call()
  assert '\n' not in str(info.value)
  return str(info.value)


def assert_equal(split: Split, expected: Split) -> None:
  """Checks that two splits have the same images and labels, and the dtypes of a split."""
  np.testing.assert_array_equal(split.images, expected.images)
  np.testing.assert_array_equal(split.labels, expected.labels)
  assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)


def draw(count: int, num_classes: int, seed: int = 0) -> Split:
  """Draws random images, uint8 `[count, 32, 32, 3]`; labels count through the classes."""
  images = np.random.RandomState(seed).randint(0, 256, (count, 32, 32, 3), np.uint8)
  return Split(images, (np.arange(count) % num_classes).astype(np.int32))


def write_folder(root: pathlib.Path, name: str, form: Form) -> tuple[Split, Split]:
  """Writes the unpacked folder of a form, without class names; returns train and test split."""
  folder = root / form.folder
  folder.mkdir(parents=True)
  num_classes = len(OFFICIAL[name].class_names)
  parts = [draw(IMAGES_PER_FILE, num_classes, seed) for seed in range(len(form.data_files))]
  for file, part in zip(form.data_files, parts, strict=True):
    encode = encode_binary if form.names_file.endswith('.txt') else encode_pickle
    (folder / file).write_bytes(encode(name, part))
  *train, test = parts
  images = np.concatenate([part.images for part in train])
  return Split(images, np.concatenate([part.labels for part in train])), test


def encode_binary(name: str, split: Split) -> bytes:
  """The content of a file of the binary version of 'cifar10' or 'cifar100'."""
  labels = split.labels[:, None]
  if name == 'cifar100':  # the coarse label comes first; readers must ignore it
    labels = np.concatenate([19 - labels % 20, labels], axis=1)
  return np.concatenate([labels.astype(np.uint8), planes(split)], axis=1).tobytes()


def encode_pickle(name: str, split: Split) -> bytes:
  """The content of a file of the Python version, as Python 3 pickles it."""
  key = {'cifar10': b'labels', 'cifar100': b'fine_labels'}[name]
  return pickle.dumps({b'data': planes(split), key: split.labels.tolist()}, protocol=2)


def encode_python2_pickle(name: str, split: Split) -> bytes:
  """The content of a file of the Python version as Python 2 pickled it, opcode by opcode.

  The official archives have this form.
  """
  key = {'cifar10': b'labels', 'cifar100': b'fine_labels'}[name]
  data = planes(split)
  array = (
    b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR'
    + b'(K\x01(' + b''.join(b'M' + struct.pack('<H', size) for size in data.shape) + b't'
    + b'cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb'
    + b'\x89T' + struct.pack('<i', data.nbytes) + data.tobytes() + b'tb'
  )  # fmt: skip
  labels = b'](' + b''.join(b'K' + bytes([label]) for label in split.labels) + b'e'
  key = b'U' + bytes([len(key)]) + key
  return b'\x80\x02}(U\x04data' + array + key + labels + b'u.'


def planes(split: Split) -> np.ndarray:
  """The pixels of a split channel by channel, uint8 `[n, 3072]`."""
  return np.ascontiguousarray(split.images.transpose(0, 3, 1, 2).reshape(len(split), -1))


def pack(root: pathlib.Path, form: Form) -> pathlib.Path:
  """Packs the folder of a form into its archive, removes the folder, and returns the archive."""
  archive = root / form.archive
  with tarfile.open(archive, 'w:gz') as tar:
    tar.add(root / form.folder, form.folder)
  for path in (root / form.folder).iterdir():
    path.unlink()
  (root / form.folder).rmdir()
  return archive


def expect_archive(
  monkeypatch: pytest.MonkeyPatch, name: str, form: Form, content: bytes, url: str = ''
) -> None:
  """Makes `content` the official archive of the first form of a set, for one test.

  Args:
    monkeypatch: undoes the change.
    name: the set, 'cifar10' or 'cifar100'.
    form: the first form of the set.
    content: the content of the archive.
    url: the address that the archive is downloaded from.
  """
  digest = hashlib.new(form.algorithm, content).hexdigest()
  fake = dataclasses.replace(
    OFFICIAL[name],
    forms=(
      dataclasses.replace(form, digest=digest, archive_bytes=len(content)),
      OFFICIAL[name].forms[1],
    ),
    url=url,
  )
  monkeypatch.setitem(OFFICIAL, name, fake)
