"""Checksums of the files of a checkpoint, written last, so that an incomplete or damaged one shows.

Orbax stores arrays without checksums, so a bit that flipped on disk would be read as part of a
weight. A CRC-32 detects any damage within 32 consecutive bits. It misses other damage once in 2**32
cases.
"""

import contextlib
import errno
import json
import os
import pathlib
import secrets
import time
import zlib
from typing import Any

from orbax.checkpoint.path import atomicity

from cifar_jax import input_files, json_text, output_files, own_files
from cifar_jax.runs import first_save
from cifar_jax.runtime import processes

NAME = 'commit_success.txt'  # the file in which Orbax itself writes only a line
_ORBAX_LINE = 'Checkpoint commit was successful'
_MARK = secrets.token_hex(8)  # of this process, in the names of its unfinished checkpoints
_CHUNK_BYTES = 1 << 20
# What the machine is short of for a moment, which says nothing of the file that was to be read.
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

Checksums = dict[str, list[int]]  # path within the directory to size in bytes and CRC-32


class ChecksummedPath(atomicity.AtomicRenameTemporaryPath):
  """Orbax's temporary path of a checkpoint, with checksums written before the final rename.

  Before the rename everything is on disk. So a directory with the number of a step as its name is
  complete, whenever the process was killed or the power failed.
  """

  @classmethod
  def from_final(cls, final_path: Any, **options: Any) -> 'ChecksummedPath':
    """Makes the path of an unfinished checkpoint, which no other run can have.

    If a workdir is renamed during a save, what is still written under its old name must not come
    among the files of a new run there. The processes of one run agree on the name.
    """
    mark = '' if processes.are_several() else f'-{_MARK}'
    name = f'{final_path.name}{atomicity.TMP_DIR_SUFFIX}{mark}'
    return cls(final_path.with_name(name), final_path, **options)

  async def finalize(self) -> None:
    """Writes the checksums of a checkpoint (not of each item in it), then renames its directory.

    The note of the first save comes last: a kill before it leaves a checkpoint without a note,
    which the next session writes, and never a note without a checkpoint.
    """
    if not self.get_final().name.isdigit():
      await super().finalize()
      return
    if self._checkpoint_metadata_store:
      self._checkpoint_metadata_store.wait_until_finished()
    directory, final = pathlib.Path(self.get()), pathlib.Path(self.get_final())
    own_files.check_held(final)
    write(directory)
    output_files.sync_tree(directory)
    directory.rename(final)
    output_files.sync(final.parent)
    first_save.note(final.parent)


def remove_unfinished(directory: pathlib.Path) -> None:
  """Removes what a save has written into a directory whose workdir was renamed meanwhile.

  If there was nothing under the old name, the directory and the workdir there go too.
  """
  for _ in range(5):  # TensorStore may still be writing, and cannot be waited for after an error
    for path in directory.glob(f'*{atomicity.TMP_DIR_SUFFIX}-{_MARK}'):
      own_files.remove(path)
    with contextlib.suppress(OSError):
      if os.listdir(directory.parent) == [directory.name]:
        directory.rmdir()
        directory.parent.rmdir()
    time.sleep(0.1)


def write(directory: pathlib.Path) -> None:
  """Writes the checksums of all files below a directory into its file `NAME`."""
  # Without optional spaces each byte matters, so damage of any byte shows.
  text = json.dumps(_checksums(directory), separators=(',', ':'))
  (directory / NAME).write_text(text)


def damage(directory: pathlib.Path) -> str:
  """A description of the first damaged, missing or unreadable file; '' if it is intact.

  Raises:
    OSError: the machine has too few file handles or too little memory to look.
  """
  try:
    expected = json_text.parse(input_files.read_text(directory / NAME))
    actual = _checksums(directory)
  except OSError as error:
    if error.errno in _SHORT:
      raise
    name = _path_within(directory, error.filename or str(directory / NAME))
    is_missing = isinstance(error, FileNotFoundError)
    return f'{name} is missing' if is_missing else f'{name} cannot be read ({error.strerror})'
  except ValueError:
    return '' if lacks_checksums(directory) else f'{NAME} is not as it was written'
  if not isinstance(expected, dict):
    return f'{NAME} is not as it was written'
  missing = [f'{name} is missing' for name in expected if name not in actual]
  changed = [
    f'{name} is not as it was written' for name in expected if actual.get(name) != expected[name]
  ]
  return (missing or changed or [''])[0]


def lacks_checksums(directory: pathlib.Path) -> bool:
  """Whether an earlier version of this program wrote a checkpoint, without checksums."""
  try:
    return input_files.read_text(directory / NAME).startswith(_ORBAX_LINE)
  except (OSError, ValueError):
    return False


def _path_within(directory: pathlib.Path, name: str) -> str:
  return str(pathlib.Path(name).relative_to(directory))


def _checksums(directory: pathlib.Path) -> Checksums:
  """The checksums of all files below a directory but `NAME`.

  Raises:
    OSError: a file cannot be read, or is none. To open a pipe would wait for ever, and what a link
      to a folder leads to is not looked through.
  """
  files = []
  for path in sorted(directory.rglob('*')):
    if path.is_file():
      files.append(path)
    elif path.is_symlink() or not path.is_dir():
      raise OSError(errno.EINVAL, 'it is a pipe, a device or a link to no file', str(path))
  return {
    str(path.relative_to(directory)): [path.stat().st_size, _crc32(path)]
    for path in files
    if path != directory / NAME
  }


def _crc32(path: pathlib.Path) -> int:
  checksum = 0
  with path.open('rb') as file:
    while chunk := file.read(_CHUNK_BYTES):
      checksum = zlib.crc32(chunk, checksum)
  return checksum
