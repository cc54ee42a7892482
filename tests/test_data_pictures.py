"""Image files of every kind, as a person would see them; and files that are no images."""

import io
import zlib

import numpy as np
import PIL.Image
import pytest
from fake_cifar import message

from cifar_jax.data import pictures

RED, GREEN = (255, 0, 0), (0, 255, 0)


def seen(tmp_path, image, name='x.png', **options) -> np.ndarray:
  """uint8 `[height, width, 3]` of an image that was written to a file and read from it."""
  image.save(tmp_path / name, **options)
  found = pictures.read(tmp_path / name)
  assert found.mode == 'RGB'
  return np.asarray(found)


def test_grey_palette_and_bits(tmp_path):
  grey = seen(tmp_path, PIL.Image.fromarray(np.array([[0, 100, 255]], np.uint8)))
  assert grey[0, :, 0].tolist() == [0, 100, 255] and (grey == grey[..., :1]).all()
  two = PIL.Image.new('RGB', (2, 1), RED)
  two.putpixel((1, 0), GREEN)
  assert seen(tmp_path, two.convert('P', palette=PIL.Image.Palette.ADAPTIVE))[0].tolist() == [
    [*RED],
    [*GREEN],
  ]
  bits = PIL.Image.fromarray(np.array([[0, 255]], np.uint8)).convert('1')
  assert seen(tmp_path, bits)[0, :, 1].tolist() == [0, 255]


def test_sixteen_bits_and_floats_are_scaled_not_clipped(tmp_path):
  deep = PIL.Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16))
  assert seen(tmp_path, deep)[0, :, 0].tolist() == [0, 100, 255]
  assert seen(tmp_path, deep, 'x.tiff')[0, :, 0].tolist() == [0, 100, 255]
  real = PIL.Image.fromarray(np.array([[0.0, 0.2, 1.0, -1.0]], np.float32))
  assert seen(tmp_path, real, 'y.tiff')[0, :, 0].tolist() == [0, 51, 255, 0]
  real = PIL.Image.fromarray(np.array([[0.0, 100.0, 255.0]], np.float32))
  assert seen(tmp_path, real, 'z.tiff')[0, :, 0].tolist() == [0, 100, 255]


def test_what_is_transparent_shows_white(tmp_path):
  image = PIL.Image.new('RGBA', (2, 1), (*RED, 255))
  image.putpixel((1, 0), (0, 0, 0, 0))
  assert seen(tmp_path, image)[0].tolist() == [[*RED], [255, 255, 255]]
  grey = PIL.Image.new('LA', (1, 1), (0, 0))
  assert seen(tmp_path, grey)[0, 0].tolist() == [255, 255, 255]
  gif = PIL.Image.new('P', (1, 1), 0)
  gif.putpalette([*RED])
  assert seen(tmp_path, gif, 'x.gif', transparency=0)[0, 0].tolist() == [255, 255, 255]


def test_exif_turns_the_picture(tmp_path):
  image = PIL.Image.new('RGB', (2, 1), RED)
  image.putpixel((1, 0), GREEN)
  exif = PIL.Image.Exif()
  exif[0x0112] = 6  # to be shown turned a quarter clockwise
  assert seen(tmp_path, image, exif=exif).tolist() == [[[*RED]], [[*GREEN]]]


def test_cmyk_and_the_first_frame_of_many(tmp_path):
  black = seen(tmp_path, PIL.Image.new('CMYK', (8, 8), (0, 0, 0, 255)), 'x.jpg')
  assert black.max() < 8
  frames = [PIL.Image.new('RGB', (4, 4), colour) for colour in (RED, GREEN)]
  found = seen(tmp_path, frames[0], 'x.gif', save_all=True, append_images=frames[1:])
  assert found[0, 0].tolist() == [*RED]


def bomb(width: int, height: int) -> bytes:
  """The head of a PNG that says it is large."""

  def chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body).to_bytes(4, 'big')
    return len(body).to_bytes(4, 'big') + kind + body + check

  head = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + bytes([8, 2, 0, 0, 0])
  return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(b''))


def cut(kind: str) -> bytes:
  content = io.BytesIO()
  noise = np.random.RandomState(0).randint(0, 256, (40, 40, 3), np.uint8)
  PIL.Image.fromarray(noise).save(content, kind)
  return content.getvalue()[:700]


@pytest.mark.parametrize(
  ('content', 'words'),
  [
    (bomb(10_000, 10_000), 'million pixels'),  # of which Pillow would only warn
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
  ids=['bomb', 'great bomb', 'empty', 'no bytes', 'head', 'pdf', 'png', 'jpeg', 'webp', 'tiff'],
)
def test_no_image(tmp_path, content, words):
  path = tmp_path / 'x.png'
  path.write_bytes(content)
  told = message(lambda: pictures.read(path))
  assert words in told and str(path) in told


def test_no_file(tmp_path):
  assert 'No such file' in message(lambda: pictures.read(tmp_path / 'x.png'))
  assert 'directory' in message(lambda: pictures.read(tmp_path)).lower()


def test_the_largest_centred_square_is_kept():
  wide = np.zeros((4, 8, 3), np.uint8)
  wide[:, 2:6] = 200
  found = pictures.crop_and_resize(PIL.Image.fromarray(wide), 2, 2)
  assert found.tolist() == np.full((2, 2, 3), 200).tolist()
  one = pictures.crop_and_resize(PIL.Image.new('RGB', (1, 900), RED), 32, 32)
  assert one.shape == (32, 32, 3) and (one == RED).all()
