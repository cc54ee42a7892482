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


# Gaps between a label and its circle, in heights of the label, and directions, that are tried.
_GAPS = (0.1, 0.4, 0.8, 1.4, 2.2, 3.2, 4.5, 6.0)
_DIRECTIONS = 16
# How many heights further away a label rather stands than on the rim of a circle, on its middle,
# or nearer to it than to its own.
_ON_RIM, _ON_MIDDLE, _ASTRAY = 2.0, 5.0, 0.5
_ROUNDS = 3  # of placing each label anew among the others


def place(
  circles: Sequence[Circle], sizes: Sequence[tuple[float, float]], within: Box
) -> list[Box]:
  """A place for each label: near its circle, on no other label and on few circles.

  Args:
    circles: one for each label.
    sizes: width and height of each label.
    within: what no label leaves.

  Returns:
    The boxes of the labels. Where nothing is free, one lies on another.
  """
  reach = 4 * max((height for _, height in sizes), default=0.0)
  crowds = [sum(math.dist(a[:2], b[:2]) < reach for b in circles) for a in circles]
  order = sorted(range(len(circles)), key=lambda index: -crowds[index])  # they have least choice
  boxes: dict[int, Box] = {}
  for index in order * _ROUNDS:
    boxes.pop(index, None)
    choices = list(_places(circles[index], *sizes[index]))
    costs = [gap + _badness(box, gap, circles, boxes.values(), within) for gap, box in choices]
    boxes[index] = choices[costs.index(min(costs))][1]
  return [boxes[index] for index in range(len(circles))]


def _places(circle: Circle, width: float, height: float) -> Iterator[tuple[float, Box]]:
  """Boxes around a circle, each after its gap from it in heights."""
  for gap, step in itertools.product(_GAPS, range(_DIRECTIONS)):
    angle = 2 * math.pi * step / _DIRECTIONS
    far = circle.radius + gap * height
    x = circle.x + math.cos(angle) * (far + width / 2)
    y = circle.y + math.sin(angle) * (far + height / 2)
    yield gap, Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _badness(
  box: Box, gap: float, circles: Sequence[Circle], taken: Iterable[Box], within: Box
) -> float:
  """How many heights further away a label had better stand than here."""
  badness = 100.0 * (sum(box.meets(other) for other in taken) + (not within.holds(box)))
  for circle in circles:
    distance = box.distance(circle.x, circle.y)
    if distance == 0.0:
      badness += _ON_MIDDLE
    elif distance < circle.radius:
      badness += _ON_RIM
    elif distance - circle.radius < gap * (box.top - box.bottom) - 1e-6:
      badness += _ASTRAY
  return badness
