"""Downloads from a server on this machine, which can break off and ignore ranges."""

import errno
import hashlib
import http.server
import pathlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

import numpy as np
import pytest

from cifar_jax import own_files
from cifar_jax.data import archives, download
from cifar_jax.data.official import OFFICIAL
from cifar_jax.errors import ShortageError
from tests.support.fake_cifar import expect_archive, message, pack, write_folder

CONTENT = bytes(range(256)) * 4000
CHUNK = download._CHUNK_BYTES
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
  """A server that sends `content` for every path.

  Attributes:
    content: the content of the file.
    break_off: for each of the next requests, the number of bytes after which to break off.
    ranges: whether Range headers are honoured.
    range_headers: the Range header of each GET so far.
    url: the address of the file.
  """

  def __init__(self) -> None:
    super().__init__(('127.0.0.1', 0), Handler)
    self.content = CONTENT
    self.break_off: list[int] = []
    self.ranges = True
    self.range_headers: list[str | None] = []
    self.url = f'http://127.0.0.1:{self.server_address[1]}/file.tar.gz'


class Handler(http.server.BaseHTTPRequestHandler):
  server: Server

  def do_HEAD(self) -> None:
    self.send_response(200)
    self.end_headers()

  def do_GET(self) -> None:
    requested = self.headers['Range']
    self.server.range_headers.append(requested)
    partial = requested is not None and self.server.ranges
    start = int(requested.removeprefix('bytes=').removesuffix('-')) if partial else 0
    body = self.server.content[start:]
    self.send_response(206 if partial else 200)
    self.send_header('Content-Length', str(len(body)))
    self.end_headers()
    self.wfile.write(body[: self.server.break_off.pop(0)] if self.server.break_off else body)

  def log_message(self, format: str, *args: object) -> None:
    del format, args


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
  monkeypatch.setenv('NO_PROXY', '127.0.0.1')
  monkeypatch.setattr(download, '_PAUSE_SECONDS', 0.0)
  with Server() as server:
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()


def fetch(server: Server, path: pathlib.Path) -> None:
  download.fetch(server.url, path, len(CONTENT), SHA256)


def test_a_download_that_breaks_off_is_resumed(server: Server, tmp_path: pathlib.Path) -> None:
  server.break_off = [4 * CHUNK, 3 * CHUNK]
  fetch(server, tmp_path / 'new' / 'file.tar.gz')
  assert (tmp_path / 'new' / 'file.tar.gz').read_bytes() == CONTENT
  assert server.range_headers == [None, f'bytes={4 * CHUNK}-', f'bytes={7 * CHUNK}-']
  assert not (tmp_path / 'new' / 'file.tar.gz.part').exists()


def test_a_later_call_resumes_the_download(server: Server, tmp_path: pathlib.Path) -> None:
  server.break_off = [CHUNK] * download._ATTEMPTS
  text = message(lambda: fetch(server, tmp_path / 'file.tar.gz'))
  assert f'broke off after {5 * CHUNK:,} of 1,024,000 bytes' in text and 'run again' in text
  fetch(server, tmp_path / 'file.tar.gz')
  assert server.range_headers[-1] == f'bytes={5 * CHUNK}-'
  assert (tmp_path / 'file.tar.gz').read_bytes() == CONTENT


def test_the_download_starts_over_if_the_server_ignores_ranges(
  server: Server, tmp_path: pathlib.Path
) -> None:
  server.ranges = False
  server.break_off = [4 * CHUNK]
  fetch(server, tmp_path / 'file.tar.gz')
  assert server.range_headers == [None, f'bytes={4 * CHUNK}-']
  assert (tmp_path / 'file.tar.gz').read_bytes() == CONTENT


def test_a_file_with_another_checksum_is_refused_and_removed(
  server: Server, tmp_path: pathlib.Path
) -> None:
  server.content = CONTENT[::-1]
  text = message(lambda: fetch(server, tmp_path / 'file.tar.gz'))
  assert hashlib.sha256(CONTENT[::-1]).hexdigest() in text and SHA256 in text
  assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_named(server: Server, tmp_path: pathlib.Path) -> None:
  (tmp_path / 'file').touch()
  text = message(lambda: fetch(server, tmp_path / 'file' / 'file.tar.gz'))
  assert 'cannot write' in text


@pytest.mark.parametrize('is_right', [True, False])
def test_another_process_that_downloads_the_file_is_waited_for(
  is_right: bool, server: Server, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  path = tmp_path / 'file.tar.gz'
  part = tmp_path / 'file.tar.gz.part'
  with part.open('ab') as file:
    own_files.lock(file, wait=False)
    file.write(CONTENT[:CHUNK])
    file.flush()
    thread = threading.Thread(target=fetch, args=(server, path))
    thread.start()
    while not caplog.messages:
      assert thread.is_alive()
      time.sleep(0.01)
    file.write(CONTENT[CHUNK:])
    file.flush()
    if is_right:
      part.rename(path)
    else:
      part.unlink()
  thread.join()
  assert 'file.tar.gz.part: waiting for it' in caplog.text
  assert path.read_bytes() == CONTENT and list(tmp_path.iterdir()) == [path]
  assert server.range_headers == ([] if is_right else [None])


def test_a_full_disk_is_a_shortage(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  def full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(download, '_append', full)
  with pytest.raises(ShortageError, match='the disk is full: make room, then run the same command'):
    download.fetch('http://nowhere', tmp_path / 'file.tar.gz', len(CONTENT), SHA256)


def test_unreachable_returns_the_reason_within_its_time(server: Server) -> None:
  assert download.unreachable(server.url) == ''
  with socket.socket() as silent:
    silent.bind(('127.0.0.1', 0))
    silent.listen()
    start = time.monotonic()
    assert download.unreachable(f'http://127.0.0.1:{silent.getsockname()[1]}', seconds=0.1)
    assert time.monotonic() - start < 2
    port = silent.getsockname()[1]
  assert download.unreachable(f'http://127.0.0.1:{port}') == 'ConnectionError'


def test_cifar_is_downloaded_once(
  server: Server, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  form = OFFICIAL['cifar10'].forms[0]
  train, _ = write_folder(tmp_path, 'cifar10', form)
  server.content = pack(tmp_path, form).read_bytes()
  expect_archive(monkeypatch, 'cifar10', form, server.content, server.url)
  for _ in range(2):
    published = archives.load('cifar10', str(tmp_path / 'data'))
    np.testing.assert_array_equal(published.train.images, train.images)
  assert server.range_headers == [None]
