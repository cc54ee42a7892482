"""Image files of every kind look as in a viewer, and files that are no images are refused."""

import contextlib
import io
import os
import pathlib
import zlib
from typing import Any

import numpy as np
import PIL.EpsImagePlugin
import PIL.Image
import pytest

from cifar_jax.config.dataset import RESIZINGS
from cifar_jax.data import pictures
from tests.support.fake_cifar import message

RED, GREEN = (255, 0, 0), (0, 255, 0)


def write_and_read(
  tmp_path: pathlib.Path, image: PIL.Image.Image, name: str = 'x.png', **options: Any
) -> np.ndarray:
  """Writes an image to a file and reads it: uint8 `[height, width, 3]`."""
  image.save(tmp_path / name, **options)
  result = pictures.read(tmp_path / name)
  assert result.mode == 'RGB'
  return np.asarray(result)


def test_grey_palette_and_one_bit_images_become_rgb(tmp_path: pathlib.Path) -> None:
  grey = write_and_read(tmp_path, PIL.Image.fromarray(np.array([[0, 100, 255]], np.uint8)))
  assert grey[0, :, 0].tolist() == [0, 100, 255] and (grey == grey[..., :1]).all()
  two = PIL.Image.new('RGB', (2, 1), RED)
  two.putpixel((1, 0), GREEN)
  assert write_and_read(tmp_path, two.convert('P', palette=PIL.Image.Palette.ADAPTIVE))[
    0
  ].tolist() == [
    [*RED],
    [*GREEN],
  ]
  bits = PIL.Image.fromarray(np.array([[0, 255]], np.uint8)).convert('1')
  assert write_and_read(tmp_path, bits)[0, :, 1].tolist() == [0, 255]


def test_sixteen_bits_and_floats_are_scaled_not_clipped(tmp_path: pathlib.Path) -> None:
  deep = PIL.Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16))
  assert write_and_read(tmp_path, deep)[0, :, 0].tolist() == [0, 100, 255]
  assert write_and_read(tmp_path, deep, 'x.tiff')[0, :, 0].tolist() == [0, 100, 255]
  real = PIL.Image.fromarray(np.array([[0.0, 0.2, 1.0, -1.0]], np.float32))
  assert write_and_read(tmp_path, real, 'y.tiff')[0, :, 0].tolist() == [0, 51, 255, 0]
  real = PIL.Image.fromarray(np.array([[0.0, 100.0, 255.0]], np.float32))
  assert write_and_read(tmp_path, real, 'z.tiff')[0, :, 0].tolist() == [0, 100, 255]


def test_transparent_pixels_become_white(tmp_path: pathlib.Path) -> None:
  image = PIL.Image.new('RGBA', (2, 1), (*RED, 255))
  image.putpixel((1, 0), (0, 0, 0, 0))
  assert write_and_read(tmp_path, image)[0].tolist() == [[*RED], [255, 255, 255]]
  grey = PIL.Image.new('LA', (1, 1), (0, 0))
  assert write_and_read(tmp_path, grey)[0, 0].tolist() == [255, 255, 255]
  gif = PIL.Image.new('P', (1, 1), 0)
  gif.putpalette([*RED])
  assert write_and_read(tmp_path, gif, 'x.gif', transparency=0)[0, 0].tolist() == [255, 255, 255]


def test_an_image_is_turned_as_its_exif_orientation_says(tmp_path: pathlib.Path) -> None:
  image = PIL.Image.new('RGB', (2, 1), RED)
  image.putpixel((1, 0), GREEN)
  exif = PIL.Image.Exif()
  exif[0x0112] = 6  # turn by a quarter clockwise
  assert write_and_read(tmp_path, image, exif=exif).tolist() == [[[*RED]], [[*GREEN]]]


def test_cmyk_becomes_rgb_and_the_first_of_several_frames_is_read(tmp_path: pathlib.Path) -> None:
  black = write_and_read(tmp_path, PIL.Image.new('CMYK', (8, 8), (0, 0, 0, 255)), 'x.jpg')
  assert black.max() < 8
  frames = [PIL.Image.new('RGB', (4, 4), colour) for colour in (RED, GREEN)]
  first = write_and_read(tmp_path, frames[0], 'x.gif', save_all=True, append_images=frames[1:])
  assert first[0, 0].tolist() == [*RED]


def bomb(width: int, height: int) -> bytes:
  """A PNG whose header claims this size, without pixels."""

  def chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body).to_bytes(4, 'big')
    return len(body).to_bytes(4, 'big') + kind + body + check

  head = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + bytes([8, 2, 0, 0, 0])
  return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(b''))


def cut(kind: str) -> bytes:
  """The first 700 bytes of an image file of noise."""
  content = io.BytesIO()
  noise = np.random.RandomState(0).randint(0, 256, (40, 40, 3), np.uint8)
  PIL.Image.fromarray(noise).save(content, kind)
  return content.getvalue()[:700]


@pytest.mark.parametrize(
  ('content', 'expected'),
  [
    (bomb(10_000, 10_000), 'million pixels'),  # Pillow would only warn
    (bomb(100_000, 100_000), 'million pixels'),
    (bomb(0, 5), 'not an image'),
    (b'', 'not an image'),
    (b'GIF89a', 'not an image'),
    (b'%PDF-1.4', 'not an image'),
    (cut('PNG'), 'can be read'),
    (cut('JPEG'), 'can be read'),
    (cut('WEBP'), 'can be read'),
    (cut('TIFF'), 'not an image'),
  ],
  ids=['bomb', 'huge bomb', 'empty', 'no bytes', 'header', 'pdf', 'png', 'jpeg', 'webp', 'tiff'],
)
def test_a_file_that_is_no_image_is_refused(
  tmp_path: pathlib.Path, content: bytes, expected: str
) -> None:
  path = tmp_path / 'x.png'
  path.write_bytes(content)
  text = message(lambda: pictures.read(path))
  assert expected in text and str(path) in text


def iptc(content: bytes) -> bytes:
  """An IPTC file of one grey pixel, which holds another file, as newspapers send pictures."""

  def record(group: int, number: int, data: bytes) -> bytes:
    return bytes([0x1C, group, number]) + len(data).to_bytes(2, 'big') + data

  size = (1).to_bytes(2, 'big')
  head = record(3, 60, b'\1\0') + record(3, 20, size) + record(3, 30, size) + record(3, 120, b'\5')
  return head + record(8, 10, content) + bytes(5)


def test_a_format_that_opens_other_files_is_refused(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  opened: list[object] = []
  monkeypatch.setattr(PIL.EpsImagePlugin, 'Ghostscript', lambda *given: opened.append(given))
  program = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n%%EndComments\nshowpage\n%%EOF\n'
  path = tmp_path / 'holiday.png'
  for content in (program, iptc(program)):
    path.write_bytes(content)
    assert 'not an image of a kind' in message(lambda: pictures.read(path))
  assert not opened
  with contextlib.suppress(Exception), PIL.Image.open(path) as image:
    image.load()
  assert opened  # so Pillow alone would have started Ghostscript


def test_a_missing_file_a_directory_or_a_pipe_is_refused(tmp_path: pathlib.Path) -> None:
  assert 'No such file' in message(lambda: pictures.read(tmp_path / 'x.png'))
  assert 'directory' in message(lambda: pictures.read(tmp_path)).lower()
  os.mkfifo(tmp_path / 'pipe.png')  # to read it would wait for ever
  assert 'a pipe' in message(lambda: pictures.read(tmp_path / 'pipe.png'))


def test_resize_crops_squeezes_or_pads_an_image_of_another_aspect_ratio() -> None:
  wide = np.zeros((4, 8, 3), np.uint8)
  wide[:, 2:6] = 200
  wide[:, :2] = wide[:, 6:] = 80
  image = PIL.Image.fromarray(wide)
  assert pictures.resize(image, 4, 4, 'crop').tolist() == np.full((4, 4, 3), 200).tolist()
  squeezed = pictures.resize(image, 4, 4, 'squeeze')
  np.testing.assert_array_equal(squeezed, squeezed[:, ::-1])
  assert (squeezed[:, 0] < 110).all() and (squeezed[:, 1] > 150).all()
  padded = pictures.resize(image, 8, 8, 'pad')
  assert (padded[:2] == 0).all() and (padded[6:] == 0).all()
  np.testing.assert_array_equal(padded[2:6], wide)


@pytest.mark.parametrize('how', RESIZINGS)
def test_resize_takes_the_narrowest_image_and_leaves_one_of_the_size_as_it_is(how: str) -> None:
  narrow = pictures.resize(PIL.Image.new('RGB', (1, 900), RED), 32, 32, how)
  assert narrow.shape == (32, 32, 3) and (narrow[:, 15] == RED).all()
  assert (narrow == RED).all() == (how != 'pad')
  noise = np.random.RandomState(0).randint(0, 256, (32, 32, 3), np.uint8)
  np.testing.assert_array_equal(pictures.resize(PIL.Image.fromarray(noise), 32, 32, how), noise)


@pytest.mark.parametrize('white', [255, 65535, 2**31 - 1])
def test_integers_of_32_bits_are_scaled_by_the_bits_that_they_use(
  white: int, tmp_path: pathlib.Path
) -> None:
  values = (np.linspace(0, 1, 16).reshape(4, 4) * white).astype(np.int32)
  PIL.Image.fromarray(values).save(tmp_path / 'a.tif')
  read = np.asarray(pictures.read(tmp_path / 'a.tif'))[:, :, 0]
  np.testing.assert_allclose(read, np.linspace(0, 255, 16).reshape(4, 4), atol=1)


def test_dark_integers_of_16_bits_stay_dark(tmp_path: pathlib.Path) -> None:
  PIL.Image.fromarray(np.full((4, 4), 200, np.uint16)).save(tmp_path / 'a.png')
  assert np.asarray(pictures.read(tmp_path / 'a.png')).max() <= 1
