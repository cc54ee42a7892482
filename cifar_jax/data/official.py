"""CIFAR-10 and CIFAR-100 as their authors publish them: file names, checksums and sizes.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html
"""

import dataclasses
import functools
from collections.abc import Callable

from cifar_jax.data import batches
from cifar_jax.data.dataset import Split


@dataclasses.dataclass(frozen=True)
class Form:
  """One of the two forms in which a set is published.

  Attributes:
    folder: name of the folder that the archive unpacks to.
    archive: file name of the archive.
    archive_bytes: size of the archive.
    algorithm: algorithm of the archive's checksum.
    digest: the archive's checksum, in hexadecimal.
    train_files: names of the files in the folder with training images, in the order of the images.
    test_files: the same for test images.
    names_file: name of the file in the folder with the class names.
    read: maps the name and content of a file with images to a split.
    read_names: maps the name and content of `names_file` to the class names.
  """

  folder: str
  archive: str
  archive_bytes: int
  algorithm: str
  digest: str
  train_files: tuple[str, ...]
  test_files: tuple[str, ...]
  names_file: str
  read: Callable[[str, bytes], Split]
  read_names: Callable[[str, bytes], tuple[str, ...]]

  @property
  def data_files(self) -> tuple[str, ...]:
    """The names of all files with images, training first."""
    return self.train_files + self.test_files


@dataclasses.dataclass(frozen=True)
class Official:
  """A published set.

  Attributes:
    train_size: number of training images.
    test_size: number of test images.
    class_names: the class names for files that lack them.
    forms: the forms, in the order in which a directory is searched for them.
    url: address of the archive of the first form.
  """

  train_size: int
  test_size: int
  class_names: tuple[str, ...]
  forms: tuple[Form, ...]
  url: str


_CIFAR10_BINARY = Form(
  folder='cifar-10-batches-bin',
  archive='cifar-10-binary.tar.gz',
  archive_bytes=170_052_171,
  algorithm='sha256',
  digest='c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
  train_files=tuple(f'data_batch_{i}.bin' for i in range(1, 6)),
  test_files=('test_batch.bin',),
  names_file='batches.meta.txt',
  read=functools.partial(batches.read_binary, label_bytes=1),
  read_names=batches.read_text_names,
)

_CIFAR10_PYTHON = Form(
  folder='cifar-10-batches-py',
  archive='cifar-10-python.tar.gz',
  archive_bytes=170_498_071,
  algorithm='md5',
  digest='c58f30108f718f92721af3b95e74349a',
  train_files=tuple(f'data_batch_{i}' for i in range(1, 6)),
  test_files=('test_batch',),
  names_file='batches.meta',
  read=functools.partial(batches.read_pickle, label_key='labels'),
  read_names=functools.partial(batches.read_pickled_names, names_key='label_names'),
)

_CIFAR100_BINARY = Form(
  folder='cifar-100-binary',
  archive='cifar-100-binary.tar.gz',
  archive_bytes=168_513_733,
  algorithm='sha256',
  digest='58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec',
  train_files=('train.bin',),
  test_files=('test.bin',),
  names_file='fine_label_names.txt',
  read=functools.partial(batches.read_binary, label_bytes=2),
  read_names=batches.read_text_names,
)

_CIFAR100_PYTHON = Form(
  folder='cifar-100-python',
  archive='cifar-100-python.tar.gz',
  archive_bytes=169_001_437,
  algorithm='md5',
  digest='eb9058c3a382ffc7106e4002c42a8d85',
  train_files=('train',),
  test_files=('test',),
  names_file='meta',
  read=functools.partial(batches.read_pickle, label_key='fine_labels'),
  read_names=functools.partial(batches.read_pickled_names, names_key='fine_label_names'),
)

_CIFAR10_CLASSES = (
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
)

OFFICIAL = {
  'cifar10': Official(
    train_size=50_000,
    test_size=10_000,
    class_names=_CIFAR10_CLASSES,
    forms=(_CIFAR10_BINARY, _CIFAR10_PYTHON),
    url='https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
  ),
  'cifar100': Official(
    train_size=50_000,
    test_size=10_000,
    class_names=tuple(f'class_{i}' for i in range(100)),
    forms=(_CIFAR100_BINARY, _CIFAR100_PYTHON),
    url='https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz',
  ),
}
