"""The memory of this machine."""

import os

from cifar_jax.errors import ShortageError

_GIB = 2**30


def host_bytes() -> int:
  """The memory of the machine in bytes, whether or not other programs use it."""
  return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')


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
