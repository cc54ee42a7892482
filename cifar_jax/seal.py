"""Checksums of a directory's files, written last: what has them is whole, and damage shows.

Orbax stores arrays without checksums, so that a bit that flips on disk would be read as a weight.
A CRC-32 notices every damage of up to 32 bits in a row, and any other with one miss in 2**32.
"""

import json
import pathlib
import zlib

from orbax.checkpoint.path import atomicity

NAME = 'commit_success.txt'  # where Orbax writes a line of its own
_ORBAX_LINE = 'Checkpoint commit was successful'
_CHUNK_BYTES = 1 << 20

Checksums = dict[str, list[int]]  # path in the directory to bytes and CRC-32


class SealedPath(atomicity.AtomicRenameTemporaryPath):
  """How Orbax puts a checkpoint in its place: sealed, then by one rename.

  So a directory with the name of a step was whole once, wherever the process was killed.
  """

  async def finalize(self) -> None:
    """Seals the checkpoint (not each item in it), then renames it."""
    if not self.get_final().name.isdigit():
      await super().finalize()
      return
    if self._checkpoint_metadata_store:
      self._checkpoint_metadata_store.wait_until_finished()
    directory = pathlib.Path(self.get())
    write(directory)
    directory.rename(self.get_final())


def write(directory: pathlib.Path) -> None:
  """Writes the checksums of all files below a directory into it."""
  text = json.dumps(_checksums(directory), separators=(',', ':'))  # no byte that says nothing
  (directory / NAME).write_text(text)


def damage(directory: pathlib.Path) -> str:
  """What is wrong with a sealed directory, file by file; '' for nothing."""
  try:
    text = (directory / NAME).read_text()
    expected = json.loads(text)
    found = _checksums(directory)
  except FileNotFoundError as error:
    return f'{_inside(directory, error.filename)} is missing'
  except ValueError:
    return '' if _is_older(text) else f'{NAME} is not as it was written'
  if not isinstance(expected, dict):
    return f'{NAME} is not as it was written'
  missing = [f'{name} is missing' for name in expected if name not in found]
  changed = [
    f'{name} is not as it was written' for name in expected if found.get(name) != expected[name]
  ]
  return (missing or changed or [''])[0]


def is_older(directory: pathlib.Path) -> bool:
  """Whether an earlier version of this program wrote a checkpoint, without checksums."""
  try:
    return _is_older((directory / NAME).read_text())
  except (OSError, ValueError):
    return False


def _is_older(text: str) -> bool:
  return text.startswith(_ORBAX_LINE)


def _inside(directory: pathlib.Path, name: str) -> str:
  return str(pathlib.Path(name).relative_to(directory))


def _checksums(directory: pathlib.Path) -> Checksums:
  files = sorted(path for path in directory.rglob('*') if path.is_file())
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
