"""Numeric arrays of MATLAB files, as SVHN is published; MAT-File Format, MathWorks, level 5.

Read here and not by SciPy, which takes on whatever a file holds: nested cells overflow its stack,
and a megabyte is unpacked to a gigabyte. Here the head of an array is looked at first, and nothing
but numeric arrays at the top level is read.
"""

import io
import math
import os
import pathlib
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol

import numpy as np

_HEAD_BYTES = 128
_VERSION = struct.pack('<H', 0x0100) + b'IM'  # level 5, little-endian
_MATRIX, _COMPRESSED = 14, 15  # types of elements at the top level
_STORED = {  # by the type of an element
  **{1: 'i1', 2: 'u1', 3: '<i2', 4: '<u2', 5: '<i4', 6: '<u4', 7: '<f4', 9: '<f8', 12: '<i8'},
  13: '<u8',
}
_CLASSES = {  # by the class of an array
  **{6: 'f8', 7: 'f4', 8: 'i1', 9: 'u1', 10: 'i2', 11: 'u2', 12: 'i4', 13: 'u4', 14: 'i8'},
  15: 'u8',
}
_COMPLEX = 0x0800  # a flag of an array
_MOST_DIMENSIONS, _LONGEST_NAME, _MOST_ARRAYS = 32, 63, 100
# Photographs, and labels in random order, are far from it. The format allows a thousand.
_GREATEST_COMPRESSION, _FREE_BYTES = 50, 16 << 20
_CHUNK = 1 << 20


class _Source(Protocol):
  def read(self, count: int, /) -> bytes | bytearray: ...


def read(
  path: pathlib.Path,
  names: tuple[str, ...],
  check: Callable[[str, np.dtype, tuple[int, ...]], None],
) -> dict[str, np.ndarray]:
  """Reads arrays by their names.

  Args:
    path: the file.
    names: of the arrays. One that the file lacks is left out.
    check: is called with the name, dtype and shape of each array before the array is read, and
      raises an exception if it is not to be read.

  Raises:
    OSError: the file cannot be read.
    ValueError: it is not of this format, it is damaged, or an array of one of the names is not
      numeric or is compressed more than data are.
  """
  arrays: dict[str, np.ndarray] = {}
  with path.open('rb') as file:
    if file.read(_HEAD_BYTES)[-len(_VERSION) :] != _VERSION:
      raise ValueError('it is no MATLAB file of level 5')
    for _ in range(_MOST_ARRAYS):
      tag = file.read(8)
      if not tag or set(names) == set(arrays):
        return arrays
      kind, size = struct.unpack('<II', tag.ljust(8, b'\xff'))
      begin = file.tell()
      if size > os.fstat(file.fileno()).st_size - begin:
        raise ValueError('it is cut off')
      if kind not in (_MATRIX, _COMPRESSED):
        raise ValueError('it holds what is no array')
      source: _Source = file
      if kind == _COMPRESSED:
        source = _Inflated(file, size)
        if struct.unpack('<I', _exactly(source, 8)[:4]) != (_MATRIX,):
          raise ValueError('it holds what is no array')
      name, dtype, shape = _head(source)
      if name in names and name not in arrays:
        if dtype is None:
          raise ValueError(f'{name} is no numeric array')
        check(name, dtype, shape)
        arrays[name] = _values(source, dtype, shape, size)
      file.seek(begin + size)
  raise ValueError(f'it holds more than {_MOST_ARRAYS} arrays')


def _head(source: _Source) -> tuple[str, np.dtype | None, tuple[int, ...]]:
  """Reads the head of an array: its name, its dtype, None if it is not numeric, and its shape."""
  flags = int.from_bytes(_small_element(source, 8)[:4], 'little')
  kind = None if flags & _COMPLEX else _CLASSES.get(flags & 0xFF)
  dimensions = np.frombuffer(_small_element(source, 4 * _MOST_DIMENSIONS), '<i4')
  shape = tuple(map(int, dimensions))
  if min(shape, default=-1) < 0:
    raise ValueError('an array has no shape')
  name = _small_element(source, _LONGEST_NAME).decode('ascii')
  return name, np.dtype(kind) if kind else None, shape


def _values(
  source: _Source, dtype: np.dtype, shape: tuple[int, ...], compressed_size: int
) -> np.ndarray:
  """Reads the values of an array, which may be stored in a smaller type than that of the array."""
  kind, size, rest = _tag(source)
  stored = np.dtype(_STORED.get(kind, 'V1'))
  if size != math.prod(shape) * stored.itemsize or not np.can_cast(stored, dtype, 'safe'):
    raise ValueError('the values of an array are not those of its head')
  if size > _FREE_BYTES + _GREATEST_COMPRESSION * compressed_size:
    raise ValueError(f'an array unpacks to {size:,} bytes, more than photographs do')
  content = rest[:size] if rest else _exactly(source, size)
  return np.frombuffer(content, stored).astype(dtype, copy=False).reshape(shape, order='F')


def _small_element(source: _Source, most: int) -> bytes:
  """Reads an element of the head of an array, of at most `most` bytes."""
  _, size, rest = _tag(source)
  if size > most:
    raise ValueError('the head of an array is too large')
  return bytes(rest or _exactly(source, -(-size // 8) * 8))[:size]


def _tag(source: _Source) -> tuple[int, int, bytes]:
  """Reads the tag of an element: its type, its bytes, and its content if that is in the tag."""
  tag = bytes(_exactly(source, 8))
  kind, size = struct.unpack('<II', tag)
  if kind >> 16:  # at most four bytes
    return kind & 0xFFFF, min(kind >> 16, 4), tag[4:]
  return kind, size, b''


def _exactly(source: _Source, count: int) -> bytes | bytearray:
  content = source.read(count)
  if len(content) != count:
    raise ValueError('it is cut off')
  return content


class _Inflated(io.RawIOBase):
  """The content of a compressed element, of which no more is unpacked than is read."""

  def __init__(self, file: BinaryIO, size: int) -> None:
    self._file, self._left, self._zlib = file, size, zlib.decompressobj()

  def read(self, count: int = -1, /) -> bytearray:
    content = bytearray()
    while len(content) < count:
      packed = self._zlib.unconsumed_tail
      if not packed:
        packed = self._file.read(min(_CHUNK, self._left))
        self._left -= len(packed)
      try:
        part = self._zlib.decompress(packed, min(_CHUNK, count - len(content)))
      except zlib.error as error:
        raise ValueError('its compression is damaged') from error
      if not (part or packed):
        break
      content += part
    return content
