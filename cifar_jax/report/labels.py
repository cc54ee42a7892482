"""Where the labels of a crowded plot go: plain geometry, in any one unit of length."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Circle(NamedTuple):
  """What a label belongs to."""

  x: float
  y: float
  radius: float


class Box(NamedTuple):
  """A rectangle."""

  left: float
  bottom: float
  right: float
  top: float

  @property
  def centre(self) -> tuple[float, float]:
    """Its middle."""
    return (self.left + self.right) / 2, (self.bottom + self.top) / 2

  def meets(self, other: 'Box') -> bool:
    """Whether the two overlap."""
    across = self.left < other.right and other.left < self.right
    return across and self.bottom < other.top and other.bottom < self.top

  def holds(self, other: 'Box') -> bool:
    """Whether the other is nowhere outside."""
    across = self.left <= other.left and other.right <= self.right
    return across and self.bottom <= other.bottom and other.top <= self.top

  def nearest(self, x: float, y: float) -> tuple[float, float]:
    """The point of it that is nearest to another point."""
    return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)

  def distance(self, x: float, y: float) -> float:
    """From a point; 0 inside."""
    return math.dist((x, y), self.nearest(x, y))


# Gaps between a label and its circle, and directions, that are tried; in heights of the label.
_GAPS = (0.1, 0.4, 0.8, 1.3, 2.0, 3.0, 4.0, 5.5, 7.0)
_DIRECTIONS = 24
# How much further away a label rather stands than on the rim of a circle, or on its middle.
_ON_RIM, _ON_MIDDLE = 1.0, 4.0


def place(
  circles: Sequence[Circle], sizes: Sequence[tuple[float, float]], within: Box
) -> list[Box]:
  """A place for each label, near its circle, on no other label and on few circles.

  Args:
    circles: one for each label.
    sizes: width and height of each label.
    within: no label leaves it.

  Returns:
    The boxes, in the order of the circles. If nothing is free, a label lies on another.
  """
  reach = 4 * max((height for _, height in sizes), default=0.0)
  crowds = [sum(math.dist(a[:2], b[:2]) < reach for b in circles) for a in circles]
  boxes: dict[int, Box] = {}
  for index in sorted(range(len(circles)), key=lambda index: -crowds[index]):
    boxes[index] = min(
      _places(circles[index], *sizes[index]),
      key=lambda choice: choice[0] + _badness(choice[1], circles, boxes.values(), within),
    )[1]
  return [boxes[index] for index in range(len(circles))]


def _places(circle: Circle, width: float, height: float) -> Iterator[tuple[float, Box]]:
  """Boxes around a circle, each after its gap from it in heights."""
  for gap, step in itertools.product(_GAPS, range(_DIRECTIONS)):
    angle = 2 * math.pi * step / _DIRECTIONS
    far = circle.radius + gap * height
    x = circle.x + math.cos(angle) * (far + width / 2)
    y = circle.y + math.sin(angle) * (far + height / 2)
    yield gap, Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _badness(box: Box, circles: Sequence[Circle], taken: Iterable[Box], within: Box) -> float:
  """How many heights further away a label had better stand than here."""
  hidden = sum(box.meets(other) for other in taken) + (not within.holds(box))
  distances = [box.distance(circle.x, circle.y) for circle in circles]
  rims = sum(d < circle.radius for d, circle in zip(distances, circles, strict=True))
  middles = sum(d == 0 for d in distances)
  return 100.0 * hidden + _ON_RIM * rims + _ON_MIDDLE * middles
