"""Small images with their captions, in JSON files beside the pictures that show them.

A picture of many photographs cannot adapt to a page: on a telephone its captions would be too small
to read. From these files a page sets the photographs itself.
"""

import io
import json
import pathlib
from typing import Any

import numpy as np

from cifar_jax import output_files
from cifar_jax.report import page_data
from cifar_jax.runs import contents


def write(path: pathlib.Path, images: np.ndarray, captions: list[dict[str, Any]]) -> None:
  """Writes images and what is known about each.

  Args:
    path: the file, `*.json`.
    images: uint8 `[n, height, width, 3]`.
    captions: for each image a dictionary for JSON.

  Raises:
    InputError: the file cannot be written.
  """
  output_files.write_text(path, as_json(images, captions))


def as_json(images: np.ndarray, captions: list[dict[str, Any]]) -> str:
  """Returns what `write` writes of images, uint8 `[n, height, width, 3]`, and their captions."""
  rows = [
    caption | {'image': data_url(image)} for caption, image in zip(captions, images, strict=True)
  ]
  return json.dumps(rows, indent=1) + '\n'


def read(path: pathlib.Path, description: contents.Description) -> list[dict[str, Any]]:
  """Returns what `write` wrote.

  Args:
    path: the file, `*.json`.
    description: of a row: `contents.MISTAKE` or `contents.GUESSES`.

  Returns:
    The rows; none if the file is missing or, after a warning, if it is not of that form.
  """
  rows = page_data.parsed(path) if path.exists() else None
  if rows is None:
    return []
  if not isinstance(rows, list):
    page_data.leave_out(path, 'it is not a list')
    return []
  if wrong := next(filter(None, (contents.wrong_value(row, description) for row in rows)), ''):
    page_data.leave_out(path, f'{wrong} is missing or wrong')
    return []
  return rows


def data_url(image: np.ndarray) -> str:
  """Returns a `data:` URL of a PNG with an image, uint8 `[height, width, 3]`."""
  import PIL.Image

  buffer = io.BytesIO()
  PIL.Image.fromarray(image).save(buffer, format='png')
  return page_data.data_url(buffer.getvalue())
