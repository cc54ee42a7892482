"""Image files of any kind as plain 8-bit RGB, as a person would see them."""

import pathlib
import warnings
from typing import TYPE_CHECKING

import numpy as np

from cifar_jax.errors import InputError

if TYPE_CHECKING:  # loaded where a picture is read
  from PIL.Image import Image


def read(path: pathlib.Path) -> 'Image':
  """The first frame of an image file that Pillow reads, in mode RGB.

  It is turned as its EXIF orientation says, what is transparent shows white, and 16 or 32 bits of
  grey are scaled to 8.

  Raises:
    InputError: there is no such file, it is not an image, it is damaged, or it has more pixels than
      Pillow's guard against decompression bombs allows (`PIL.Image.MAX_IMAGE_PIXELS`).
  """
  import PIL.Image
  import PIL.ImageOps

  try:
    with warnings.catch_warnings():
      warnings.simplefilter('error', PIL.Image.DecompressionBombWarning)
      warnings.simplefilter('ignore', UserWarning)  # on metadata that is not used
      with PIL.Image.open(path, formats=_formats()) as image:
        image.load()
        return _rgb(PIL.ImageOps.exif_transpose(image))
  except (PIL.Image.DecompressionBombWarning, PIL.Image.DecompressionBombError) as error:
    limit = (PIL.Image.MAX_IMAGE_PIXELS or 0) / 1e6
    raise InputError(f'{path} has more than {limit:.0f} million pixels: make it smaller') from error
  except PIL.UnidentifiedImageError as error:
    raise InputError(f'{path} is not an image of a kind that Pillow reads') from error
  except Exception as error:  # a damaged file can raise anything, in texts of several lines
    if isinstance(error, OSError) and error.strerror:
      raise InputError(f'cannot read {path}: {error.strerror}') from error
    told = type(error).__name__
    raise InputError(f'{path} is not an image that can be read ({told})') from error


def _formats() -> list[str]:
  """All that Pillow reads but EPS, which is a program, and which it would give to Ghostscript."""
  import PIL.Image

  PIL.Image.init()
  return sorted(set(PIL.Image.OPEN) - {'EPS'})


def _rgb(image: 'Image') -> 'Image':
  import PIL.Image

  if image.mode.startswith(('I', 'F')):  # which Pillow itself would clip at 255
    values = np.nan_to_num(np.asarray(image, np.float64))
    full = 65535.0 if image.mode.startswith('I') else max(1.0, values.max())
    image = PIL.Image.fromarray(np.clip(np.rint(values * (255 / full)), 0, 255).astype(np.uint8))
  if image.has_transparency_data:
    image = image.convert('RGBA')
    image = PIL.Image.alpha_composite(PIL.Image.new('RGBA', image.size, 'white'), image)
  return image.convert('RGB')


def crop_and_resize(image: 'Image', height: int, width: int) -> np.ndarray:
  """The largest centred part of the net's aspect, by Pillow's bilinear filter (which averages).

  Args:
    image: in mode RGB.
    height: of the result, in pixels.
    width: likewise.

  Returns:
    uint8 `[height, width, 3]`.
  """
  import PIL.Image

  full_width, full_height = image.size
  part_width = max(1, min(full_width, round(full_height * width / height)))
  part_height = max(1, min(full_height, round(full_width * height / width)))
  left, top = (full_width - part_width) // 2, (full_height - part_height) // 2
  part = image.crop((left, top, left + part_width, top + part_height))
  return np.asarray(part.resize((width, height), PIL.Image.Resampling.BILINEAR))
