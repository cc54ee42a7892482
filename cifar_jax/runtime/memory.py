"""The memory of this machine."""

import contextlib
import os

from cifar_jax.errors import ShortageError

_GIB = 2**30


def host_bytes() -> int:
  """The memory of the machine in bytes, whether or not other programs use it."""
  return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')


def available_bytes() -> int:
  """The memory in bytes that programs can still take; that of the machine where it does not say."""
  with contextlib.suppress(OSError, StopIteration, ValueError), open('/proc/meminfo') as file:
    line = next(line for line in file if line.startswith('MemAvailable:'))
    return int(line.split()[1]) << 10
  return host_bytes()


def check_arrays_fit(what: str, num_bytes: int) -> None:
  """Raises ShortageError if arrays need more memory than there is, while they are read.

  Args:
    what: the arrays, the beginning of the message.
    num_bytes: of all arrays. Twice as many are needed: as they are unpacked, and as they are used.
  """
  needed, available = 2 * num_bytes, available_bytes()
  if needed > available:
    raise ShortageError(
      f'{what} take {needed / _GIB:.3g} GiB while they are read, and this machine has '
      f'{available / _GIB:.3g} left: use a machine with more memory'
    )


def check_images_fit(count: int, height: int, width: int) -> None:
  """Raises ShortageError if uint8 images of three channels need more memory than there is.

  Without this check the system would end the process, without a message, once its memory is full.

  Args:
    count: number of images.
    height: of an image, in pixels.
    width: of an image, in pixels.
  """
  needed, available = 3 * count * height * width, host_bytes()
  if needed > available:
    raise ShortageError(
      f'{count:,} images of {height} x {width} pixels take {needed / _GIB:.3g} GiB, and this '
      f'machine has {available / _GIB:.3g}: set a smaller data.image_size, or fewer images'
    )
