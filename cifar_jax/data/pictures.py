"""Image files of any kind, and images in memory, converted to the RGB that a viewer would show."""

import contextlib
import pathlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cifar_jax.errors import InputError
from cifar_jax.input_files import refuse_pipe

if TYPE_CHECKING:  # imported by the functions that need it, because that takes time
  from PIL.Image import Image

# Of the formats that Pillow reads, those of plain pixels that people have as data. The others may
# start programs or open a file of any format inside them: EPS, which Ghostscript runs, also within
# IPTC, whatever the name of the file. JPEG includes MPO, whose parts are JPEG.
FORMATS = (
  *('PNG', 'JPEG', 'BMP', 'DIB', 'GIF', 'WEBP', 'AVIF', 'TIFF', 'PPM', 'JPEG2000', 'TGA', 'PCX'),
  *('SGI', 'QOI'),
)


def read(path: pathlib.Path) -> 'Image':
  """Reads the first frame of an image file, in mode RGB, and its metadata as `info`.

  The image is turned as its EXIF orientation says, transparent pixels become white, and grey values
  of 16 or 32 bits are scaled to 8.

  Raises:
    InputError: the file does not exist, has none of the `FORMATS`, is damaged, or has more pixels
      than Pillow allows as a guard against decompression bombs (`PIL.Image.MAX_IMAGE_PIXELS`).
  """
  import PIL.Image
  import PIL.ImageOps

  refuse_pipe(path)
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('error', PIL.Image.DecompressionBombWarning)
      warnings.simplefilter('ignore', UserWarning)  # about metadata, which is not used
      with PIL.Image.open(path, formats=_formats()) as image:
        image.load()
        rgb = _rgb(PIL.ImageOps.exif_transpose(image))
        rgb.info = image.info  # compositing loses it
        return rgb
  except (PIL.Image.DecompressionBombWarning, PIL.Image.DecompressionBombError) as error:
    limit = (PIL.Image.MAX_IMAGE_PIXELS or 0) / 1e6
    raise InputError(f'{path} has more than {limit:.0f} million pixels: make it smaller') from error
  except PIL.UnidentifiedImageError as error:
    raise InputError(
      f'{path} is not an image of a kind that is read: give a PNG or JPEG'
    ) from error
  except Exception as error:  # a damaged file can raise anything, in texts of several lines
    if isinstance(error, OSError) and error.strerror:
      raise InputError(f'cannot read {path}: {error.strerror}') from error
    kind = type(error).__name__
    raise InputError(f'{path} is not an image that can be read ({kind})') from error


def from_memory(picture: 'Image | np.ndarray') -> 'Image':
  """Converts a picture in memory to mode RGB, as `read` converts a file.

  Args:
    picture: an image of Pillow in any mode, or an array: uint8 `[height, width, 3]`, or grey uint8
      `[height, width]`.

  Raises:
    InputError: the picture is none of these.
  """
  import PIL.Image
  import PIL.ImageOps

  if isinstance(picture, PIL.Image.Image):
    return _rgb(PIL.ImageOps.exif_transpose(picture))
  array = np.asarray(picture)
  form = f'{array.dtype} {list(array.shape)}'
  is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
  if array.dtype != np.uint8 or not is_image or not array.size:
    raise InputError(
      f'a picture is a file, an image of Pillow or uint8 [height, width, 3], not {form}'
    )
  return _rgb(PIL.Image.fromarray(array))


def _formats() -> list[str]:
  """Returns the formats of `FORMATS` that the installed Pillow reads."""
  import PIL.Image

  PIL.Image.init()
  return [name for name in FORMATS if name in PIL.Image.OPEN]


@contextlib.contextmanager
def plain_formats_only() -> Iterator[None]:
  """Within the block Pillow opens the `FORMATS` alone, also where a library calls it."""
  import PIL.Image

  formats = _formats()
  before = PIL.Image.ID.copy()
  PIL.Image.ID[:] = [name for name in before if name in formats]
  try:
    yield
  finally:
    PIL.Image.ID[:] = before


def _rgb(image: 'Image') -> 'Image':
  """Converts an image of any mode to RGB."""
  import PIL.Image

  if image.mode.startswith(('I', 'F')):  # Pillow would clip these modes at 255
    values = np.nan_to_num(np.asarray(image, np.float64))
    full = _largest_of(image.mode, float(values.max()))
    image = PIL.Image.fromarray(np.clip(np.rint(values * (255 / full)), 0, 255).astype(np.uint8))
  if image.has_transparency_data:
    image = image.convert('RGBA')
    image = PIL.Image.alpha_composite(PIL.Image.new('RGBA', image.size, 'white'), image)
  return image.convert('RGB')


def _largest_of(mode: str, largest: float) -> float:
  """The value of white in an image whose largest value is given: it is scaled to 255.

  Integers of 32 bits may have been 8 or 16 before: white is the largest value of the fewest bits.
  """
  if mode == 'I':
    return next((full for full in (255.0, 65535.0) if largest <= full), 2.0**31 - 1)
  return 65535.0 if mode.startswith('I') else max(1.0, largest)


def resize(image: 'Image', height: int, width: int, how: str) -> np.ndarray:
  """Resizes an image with Pillow's bilinear filter, which averages where it shrinks.

  Args:
    image: the image, in mode RGB.
    height: height of the result, in pixels.
    width: width of the result, in pixels.
    how: one of `config.dataset.RESIZINGS`, for an image of another aspect ratio. `squeeze` scales
      its sides to those of the result, `crop` cuts out its largest centred part of the wanted
      aspect ratio first, and `pad` scales the whole of it and fills the rest with black.

  Returns:
    uint8 `[height, width, 3]`.
  """
  import PIL.Image

  full_width, full_height = image.size
  left, top, part_width, part_height = 0, 0, full_width, full_height
  inner_width, inner_height = width, height
  if how == 'crop':
    part_width = max(1, min(full_width, round(full_height * width / height)))
    part_height = max(1, min(full_height, round(full_width * height / width)))
    left, top = (full_width - part_width) // 2, (full_height - part_height) // 2
  elif how == 'pad':
    inner_width = max(1, min(width, round(full_width * height / full_height)))
    inner_height = max(1, min(height, round(full_height * width / full_width)))
  part = image.crop((left, top, left + part_width, top + part_height))
  scaled = np.asarray(part.resize((inner_width, inner_height), PIL.Image.Resampling.BILINEAR))
  above, before = (height - inner_height) // 2, (width - inner_width) // 2
  result = np.zeros((height, width, 3), np.uint8)
  result[above : above + inner_height, before : before + inner_width] = scaled
  return result
