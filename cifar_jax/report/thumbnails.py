"""Small images with their captions, in JSON files beside the pictures that show them.

A picture of many photographs cannot adapt to a page: on a telephone its captions would be too small
to read. From these files a page sets the photographs itself.
"""

import base64
import io
import json
import pathlib
from typing import Any

import numpy as np

from cifar_jax import input_files, json_text, output_files

_DATA_URL = 'data:image/png;base64,'


def write(path: pathlib.Path, images: np.ndarray, captions: list[dict[str, Any]]) -> None:
  """Writes images and what is known about each.

  Args:
    path: the file, `*.json`.
    images: uint8 `[n, height, width, 3]`.
    captions: for each image a dictionary for JSON.

  Raises:
    InputError: the file cannot be written.
  """
  rows = [
    caption | {'image': data_url(image)} for caption, image in zip(captions, images, strict=True)
  ]
  with output_files.replacing(path) as temporary:
    temporary.write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns what `write` wrote; nothing if the file is missing or is not of that form."""
  try:
    rows = json_text.parse(input_files.read_text(path))
  except (OSError, ValueError):  # the picture can be shown instead
    return []
  if not isinstance(rows, list):
    return []
  return [
    row for row in rows if isinstance(row, dict) and str(row.get('image')).startswith(_DATA_URL)
  ]


def data_url(image: np.ndarray) -> str:
  """Returns a `data:` URL of a PNG with an image, uint8 `[height, width, 3]`."""
  import PIL.Image

  buffer = io.BytesIO()
  PIL.Image.fromarray(image).save(buffer, format='png')
  return f'{_DATA_URL}{base64.b64encode(buffer.getvalue()).decode("ascii")}'
