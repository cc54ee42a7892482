"""Download of one large file over HTTP, resumed where it broke off and checked before use."""

import contextlib
import hashlib
import logging
import os
import pathlib
import threading
import time
from collections.abc import Iterator

from cifar_jax.errors import InputError, cannot_write
from cifar_jax.own_files import lock, open_own

logger = logging.getLogger(__name__)

_ATTEMPTS = 5
_PAUSE_SECONDS = 2.0
_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16  # a connection that breaks off loses at most one chunk


def unreachable(url: str, seconds: float = 5.0) -> str:
  """Returns the reason why a URL does not answer within `seconds`; '' if it does."""
  import requests

  reason = f'no answer within {seconds:g} s'

  def ask() -> None:
    nonlocal reason
    try:
      requests.head(url, timeout=seconds)
      reason = ''
    except requests.RequestException as error:
      reason = type(error).__name__

  # In a thread that can be abandoned, because resolving a host name has no timeout.
  thread = threading.Thread(target=ask, daemon=True)
  thread.start()
  thread.join(seconds)
  return reason


def fetch(url: str, path: pathlib.Path, size: int, sha256: str) -> None:
  """Downloads a file, or the rest of it if an earlier call left `path` + '.part'.

  A process that downloads it already is waited for.

  Args:
    url: the file's address.
    path: the file to write. It appears once it is complete and its checksum is right. Missing
      directories are made.
    size: the file's size in bytes.
    sha256: the file's checksum, in hexadecimal.

  Raises:
    InputError: the download broke off repeatedly, cannot be written, or has another checksum.
    ShortageError: the disk is full.
  """
  part = path.with_name(f'{path.name}.part')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(part) as is_there:
      if is_there:
        _fetch_part(url, part, size)
        _put_in_place(part, path, sha256)
  except OSError as error:
    raise cannot_write(path, error) from error
  if _size(path) != size:  # another process has removed what it downloaded
    fetch(url, path, size, sha256)


@contextlib.contextmanager
def _alone(part: pathlib.Path) -> Iterator[bool]:
  """Within the block no other process downloads into a file; two would mix their bytes.

  Yields whether the file is still there; otherwise another process has just finished with it.
  """
  with open_own(part, 'ab') as file:
    try:
      lock(file, wait=False)
    except BlockingIOError:
      logger.warning('another process downloads into %s: waiting for it.', part)
      lock(file, wait=True)
    yield part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat())


def _put_in_place(part: pathlib.Path, path: pathlib.Path, sha256: str) -> None:
  """Gives a complete download its name; raises InputError if its checksum is wrong."""
  try:
    check_digest(part, 'sha256', sha256)
  except InputError:
    part.unlink()  # resuming it would not help
    raise
  part.rename(path)


def check_digest(path: pathlib.Path, algorithm: str, expected: str) -> None:
  """Raises InputError unless a file has the expected checksum, in hexadecimal."""
  with path.open('rb') as file:
    digest = hashlib.file_digest(file, algorithm).hexdigest()
  if digest != expected:
    raise InputError(
      f'{path} is damaged or not the official file: its {algorithm} is {digest}, not {expected}'
    )


def _fetch_part(url: str, part: pathlib.Path, size: int) -> None:
  """Downloads until `part` has `size` bytes, in several attempts."""
  import requests

  reason = 'the connection was closed'
  for attempt in range(_ATTEMPTS):
    if _size(part) >= size:
      return
    if attempt:
      logger.warning('%s broke off (%s): trying again.', url, reason)
      time.sleep(_PAUSE_SECONDS)
    try:
      _append(url, part, size)
    except requests.RequestException as error:
      reason = str(error)
  if _size(part) < size:
    raise InputError(
      f'{url} broke off after {_size(part):,} of {size:,} bytes ({reason}); '
      'run again to resume the download'
    )


def _append(url: str, part: pathlib.Path, size: int) -> None:
  """Requests the bytes that `part` lacks and appends them."""
  import requests
  import tqdm

  start = _size(part)
  # 'identity' forbids a compressed transfer, which requests would unpack.
  headers = {'Accept-Encoding': 'identity'}
  if start:
    headers['Range'] = f'bytes={start}-'
  with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
    response.raise_for_status()
    if response.status_code != requests.codes.partial_content:
      start = 0  # the server ignores ranges and sends the whole file
    with (
      open_own(part, 'ab' if start else 'wb') as file,
      tqdm.tqdm(desc=url, total=size, initial=start, unit='B', unit_scale=True) as bar,
    ):
      for chunk in response.iter_content(_CHUNK_BYTES):
        file.write(chunk)
        bar.update(len(chunk))


def _size(path: pathlib.Path) -> int:
  return path.stat().st_size if path.exists() else 0
