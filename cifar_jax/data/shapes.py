"""The data set `shapes`: ten classes of small pictures in CIFAR's format, drawn from a seed.

It replaces CIFAR where nothing can be downloaded: in tests, demos and first trials. The class of an
image is its one large shape, among smaller shapes, cropped shapes and bars.

These vary, all independently of the class (lengths in pixels of the 32 × 32 image):

  place       the centre lies up to 3 from the middle, along each axis
  pose        upright, turned by up to 30 degrees in either direction; a radius of 8 to 12, at which
              all classes have about the same area; a stretch along its axis: sides in a ratio of up
              to 1.3
  proportion  the thickness of a ring, the depth of a star's notches, the bite of a crescent, ...
  colour      any for the background; for the shape one that differs clearly, brighter or darker
  texture     gradients, stripes and smooth noise, on the shape and behind it
  clutter     behind the shape: a large one cut by the border, three of radius 1.5 to 3, and a bar
  occlusion   in 30 % of the images a bar, 1 to 3 wide, across the shape
  light       a gradient of up to ±35 % in any direction, contrast of 0.6 to 1, blur, pixel noise

Every class is mirror-symmetric, so a horizontal flip keeps the label, as does a shift by 4 pixels.
On the test set of seed 0, ridge regression on the pixels has an accuracy of at most 15 %, the 15
nearest neighbours 31 %, and one ResNet-8 after 800 steps of 128 flipped and shifted images 93 %.

Floats are float32 with one row per image: `[count, 1, 1, 1]` is a parameter of each image,
`[count, 1, 32, 32]` a field over its pixels, and `[count, 3, ...]` a colour, from 0 to 1. Pixels
are computed with arithmetic and square roots alone, which IEEE 754 rounds alike on every machine.
The only exceptions are the cosines of the angles, which are rounded from float64.
"""

import math

import numpy as np

from cifar_jax.data.dataset import Published, Split
from cifar_jax.data.outlines import OUTLINES, Field

TRAIN_SIZE = 12_000
TEST_SIZE = 2_000
IMAGE_SIZE = 32
CHUNK_SIZE = 100  # images drawn at once, whose fields fit the cache; the images depend on it

CLASS_NAMES: tuple[str, ...] = tuple(OUTLINES)


def load(seed: int) -> Published:
  """The data set `shapes`, drawn; the same for the same seed on every machine."""
  images, labels, test_images, test_labels = generate(seed)
  return Published(CLASS_NAMES, Split(images, labels), Split(test_images, test_labels))


def generate(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Draws the training and the test set, in about 4 seconds on one core.

  Args:
    seed: an integer in [0, 2**32), which determines the images and their order.

  Returns:
    Training images uint8 `[12000, 32, 32, 3]`, training labels int32 `[12000]`, test images uint8
    `[2000, 32, 32, 3]` and test labels int32 `[2000]`. Labels are indices into `CLASS_NAMES`. All
    classes have the same number of images in a split.

  Raises:
    ValueError: the seed is out of range.
  """
  rng = np.random.RandomState(seed)  # its stream never changes between releases of NumPy
  return *_draw_split(rng, TRAIN_SIZE), *_draw_split(rng, TEST_SIZE)


def _draw_split(rng: np.random.RandomState, size: int) -> tuple[np.ndarray, np.ndarray]:
  """Draws images uint8 `[size, 32, 32, 3]` and their balanced, shuffled labels int32 `[size]`."""
  labels = rng.permutation(np.arange(size) % len(CLASS_NAMES)).astype(np.int32)
  chunks = [_draw(rng, labels[i : i + CHUNK_SIZE]) for i in range(0, size, CHUNK_SIZE)]
  return np.ascontiguousarray(np.concatenate(chunks)), labels


# --- The scene, from back to front ---


def _draw(rng: np.random.RandomState, labels: np.ndarray) -> np.ndarray:
  """Draws one image, uint8 `[count, 32, 32, 3]`, for each of the labels, `[count]`."""
  count = len(labels)
  background = _uniform(rng, count, 0.2, 0.8, channels=3)
  images = _surface(rng, background)
  _add_clutter(rng, images)
  center = _uniform(rng, count, -3, 3, channels=2)
  coverage = _shape(rng, labels, center, _uniform(rng, count, 8, 12))
  _paint(images, coverage, _surface(rng, _contrasting(rng, background)))
  occluded = _uniform(rng, count, 0, 1) < 0.3
  _paint(images, occluded * _bar(rng, count, reach=8), _color(rng, count))
  return _photograph(rng, images)


def _add_clutter(rng: np.random.RandomState, images: Field) -> None:
  """Paints shapes that do not count: a large one that the border cuts, small ones, and a bar."""
  count = len(images)
  outward = _uniform(rng, count, -1, 1, channels=2)
  outward /= np.abs(outward).max(axis=1, keepdims=True)
  _paint(images, _any_shape(rng, 19 * outward, _uniform(rng, count, 5, 8)), _color(rng, count))
  for _ in range(3):
    center = _uniform(rng, count, -16, 16, channels=2)
    _paint(images, _any_shape(rng, center, _uniform(rng, count, 1.5, 3)), _color(rng, count))
  _paint(images, _bar(rng, count, reach=16), _color(rng, count))


def _photograph(rng: np.random.RandomState, images: Field) -> np.ndarray:
  """Applies light, contrast, blur and noise to a scene: uint8 `[count, 32, 32, 3]`."""
  count = len(images)
  images = images * (1 + _uniform(rng, count, 0, 0.35) * _ramp(rng, count))
  images = 0.5 + _uniform(rng, count, 0.6, 1) * (images - 0.5)
  blur = _uniform(rng, count, 0, 0.25)  # the weight of each of the two neighbours
  padded = np.pad(images, [(0, 0), (0, 0), (1, 1), (0, 0)], mode='edge')
  images = images + blur * (padded[:, :, :-2] + padded[:, :, 2:] - 2 * images)
  padded = np.pad(images, [(0, 0), (0, 0), (0, 0), (1, 1)], mode='edge')
  images = images + blur * (padded[..., :-2] + padded[..., 2:] - 2 * images)
  grain = rng.randint(-128, 128, size=images.shape, dtype=np.int8).astype(np.float32)
  images = 255 * images + _uniform(rng, count, 0, 0.1) * grain
  return np.rint(np.clip(images, 0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)


def _paint(images: Field, coverage: Field, color: Field) -> None:
  """Paints over the images in place, in proportion to the coverage.

  Args:
    images: `[count, 3, 32, 32]`.
    coverage: `[count, 1, 32, 32]`, from 0 to 1.
    color: `[count, 3, 1, 1]`, or a field `[count, 3, 32, 32]`.
  """
  images += coverage * (color - images)


# --- Colour and texture ---


def _uniform(
  rng: np.random.RandomState, count: int, low: float, high: float, channels: int = 1
) -> Field:
  """Draws uniform numbers in [low, high): float32 `[count, channels, 1, 1]`."""
  return rng.uniform(low, high, size=(count, channels, 1, 1)).astype(np.float32)


def _color(rng: np.random.RandomState, count: int) -> Field:
  """Draws any colour: `[count, 3, 1, 1]`."""
  return _uniform(rng, count, 0, 1, channels=3)


def _contrasting(rng: np.random.RandomState, color: Field) -> Field:
  """Draws a colour `[count, 3, 1, 1]` that differs from `color` by 0.4 to 0.8 in some channel."""
  difference = _uniform(rng, len(color), -1, 1, channels=3)
  difference /= np.abs(difference).max(axis=1, keepdims=True)
  difference *= _uniform(rng, len(color), 0.4, 0.8)
  outside = np.abs(color + difference - 0.5) > 0.5  # then the opposite direction has more room
  return np.clip(np.where(outside, color - difference, color + difference), 0, 1)


def _surface(rng: np.random.RandomState, color: Field) -> Field:
  """Draws a colour with a gradient, stripes and smooth noise: `[count, 3, 32, 32]`."""
  count = len(color)
  textures = [_ramp(rng, count), _stripes(rng, count), _noise(rng, count, 8), _noise(rng, count, 4)]
  return color + sum(_uniform(rng, count, -0.1, 0.1, channels=3) * field for field in textures)


def _ramp(rng: np.random.RandomState, count: int) -> Field:
  """Draws a field that rises from -1 to 1 across the image: `[count, 1, 32, 32]`."""
  cosine, sine = _direction(rng, count)
  return (cosine * _X + sine * _Y) / (IMAGE_SIZE / 2)


def _stripes(rng: np.random.RandomState, count: int) -> Field:
  """Draws a triangle wave between -1 and 1, 3 to 10 pixels long: `[count, 1, 32, 32]`."""
  cosine, sine = _direction(rng, count)
  phase = (cosine * _X + sine * _Y) / _uniform(rng, count, 3, 10) + _uniform(rng, count, 0, 1)
  return 4 * np.abs(phase - np.floor(phase) - 0.5) - 1


def _noise(rng: np.random.RandomState, count: int, cell: int) -> Field:
  """Draws noise in [-1, 1) that is linear between grid points: `[count, 1, 32, 32]`.

  Args:
    rng: the source of the noise.
    count: number of images.
    cell: pixels between two grid points.
  """
  knots = IMAGE_SIZE // cell + 1
  grid = rng.uniform(-1, 1, size=(count, 1, knots, knots)).astype(np.float32)
  index, offset = np.divmod(np.arange(IMAGE_SIZE), cell)
  weight = (offset / cell).astype(np.float32)
  rows = grid[:, :, index] + weight[:, None] * (grid[:, :, index + 1] - grid[:, :, index])
  return rows[..., index] + weight * (rows[..., index + 1] - rows[..., index])


# --- Geometry, in pixels from the middle of the image ---

_AXIS = np.arange(IMAGE_SIZE, dtype=np.float32) - (IMAGE_SIZE - 1) / 2
_X, _Y = _AXIS[None, :], _AXIS[:, None]


def _direction(
  rng: np.random.RandomState, count: int, limit: float = math.pi
) -> tuple[Field, Field]:
  """Draws an angle from ±`limit`, in radians; returns cosine and sine, each `[count, 1, 1, 1]`."""
  angle = rng.uniform(-limit, limit, size=(count, 1, 1, 1))
  return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _bar(rng: np.random.RandomState, count: int, reach: float) -> Field:
  """Draws a line, 1 to 3 wide and at most `reach` from the middle: `[count, 1, 32, 32]`."""
  cosine, sine = _direction(rng, count)
  distance = np.abs(cosine * _X + sine * _Y - _uniform(rng, count, -reach, reach))
  return _coverage(distance - _uniform(rng, count, 0.5, 1.5))


def _any_shape(rng: np.random.RandomState, center: Field, radius: Field) -> Field:
  """Draws a shape of a random class; arguments and result are those of `_shape`."""
  return _shape(rng, rng.randint(len(CLASS_NAMES), size=len(center)), center, radius)


def _shape(rng: np.random.RandomState, labels: np.ndarray, center: Field, radius: Field) -> Field:
  """Draws a shape of each label's class, in a random pose.

  Args:
    rng: the source of the pose.
    labels: int `[count]`.
    center: `[count, 2, 1, 1]`, in pixels from the middle of the image.
    radius: `[count, 1, 1, 1]`, in pixels.

  Returns:
    The coverage, `[count, 1, 32, 32]`: the share of each pixel that lies inside, from 0 to 1.
  """
  x, y = _X - center[:, :1], _Y - center[:, 1:]
  cosine, sine = _direction(rng, len(labels), limit=math.pi / 6)
  stretch = _uniform(rng, len(labels), 0.88, 1.14)
  u = (cosine * x + sine * y) / (radius * stretch)
  v = (sine * x - cosine * y) / radius * stretch
  proportion = _uniform(rng, len(labels), 0, 1)
  distance = np.empty_like(u)
  for label, signed_distance in enumerate(OUTLINES.values()):
    rows = labels == label
    distance[rows] = signed_distance(u[rows], v[rows], proportion[rows])
  return _coverage(distance * radius)


def _coverage(distance: Field) -> Field:
  """The share of a pixel inside an edge, by the signed distance of its centre from that edge."""
  return np.clip(0.5 - distance, 0, 1)
