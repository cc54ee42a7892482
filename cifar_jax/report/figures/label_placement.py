"""Chooses positions for the labels of a crowded plot: plain geometry, in any unit of length."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Circle(NamedTuple):
  """A circle that a label belongs to."""

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
    """The centre of the rectangle."""
    return (self.left + self.right) / 2, (self.bottom + self.top) / 2

  def overlaps(self, other: 'Box') -> bool:
    """Returns whether two rectangles overlap."""
    across = self.left < other.right and other.left < self.right
    return across and self.bottom < other.top and other.bottom < self.top

  def contains(self, other: 'Box') -> bool:
    """Returns whether another rectangle lies inside this one."""
    across = self.left <= other.left and other.right <= self.right
    return across and self.bottom <= other.bottom and other.top <= self.top

  def nearest(self, x: float, y: float) -> tuple[float, float]:
    """Returns the point of the rectangle that is nearest to a given point."""
    return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)

  def distance(self, x: float, y: float) -> float:
    """Returns the distance of a point from the rectangle; 0 for a point inside."""
    return math.dist((x, y), self.nearest(x, y))


# Candidate positions of a label: gaps to its circle, in heights of the label, and directions.
_GAPS = (0.1, 0.4, 0.8, 1.4, 2.2, 3.2, 4.5, 6.0)
_DIRECTIONS = 16
# Costs of a position, in heights of the label: a label that covers the rim of a circle is as bad as
# a label this many heights further away. The second cost is for a label that covers the centre of a
# circle, the third for a label that is nearer to a foreign circle than to the circle it belongs to.
_ON_RIM, _ON_CENTRE, _NEAR_FOREIGN = 2.0, 5.0, 0.5
_OUTSIDE_OR_ON_LABEL = 100.0  # far above the other costs: a last resort
_ROUNDS = 3  # how often each label is placed, given the positions of all other labels


def place(
  circles: Sequence[Circle],
  sizes: Sequence[tuple[float, float]],
  within: Box,
  others: Sequence[Circle] = (),
) -> list[Box]:
  """Finds a position for each label: near its circle, on no other label and on few circles.

  Args:
    circles: the circle of each label.
    sizes: width and height of each label.
    within: rectangle that all labels should lie in.
    others: circles without a label, which labels should not cover either.

  Returns:
    The rectangles of the labels. They overlap only where there is no free position.
  """
  reach = 4 * max((height for _, height in sizes), default=0.0)
  crowds = [sum(math.dist(a[:2], b[:2]) < reach for b in circles) for a in circles]
  # Labels in crowds come first: they have the least choice.
  order = sorted(range(len(circles)), key=lambda index: -crowds[index])
  boxes: dict[int, Box] = {}
  obstacles = [*circles, *others]
  for index in order * _ROUNDS:
    boxes.pop(index, None)
    choices = list(_candidates(circles[index], *sizes[index]))
    costs = [gap + _cost(box, gap, obstacles, boxes.values(), within) for gap, box in choices]
    boxes[index] = choices[costs.index(min(costs))][1]
  return [boxes[index] for index in range(len(circles))]


def _candidates(circle: Circle, width: float, height: float) -> Iterator[tuple[float, Box]]:
  """Yields rectangles around a circle, each with its gap to the circle in heights of the label."""
  for gap, step in itertools.product(_GAPS, range(_DIRECTIONS)):
    angle = 2 * math.pi * step / _DIRECTIONS
    distance = circle.radius + gap * height
    x = circle.x + math.cos(angle) * (distance + width / 2)
    y = circle.y + math.sin(angle) * (distance + height / 2)
    yield gap, Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _cost(
  box: Box, gap: float, circles: Sequence[Circle], taken: Iterable[Box], within: Box
) -> float:
  """Returns the cost of a position beside its gap, in heights of the label.

  Args:
    box: rectangle of the label.
    gap: gap between the label and its circle, in heights of the label.
    circles: all circles.
    taken: rectangles of the other labels.
    within: rectangle that the label should lie in.
  """
  num_overlaps = sum(box.overlaps(other) for other in taken)
  cost = _OUTSIDE_OR_ON_LABEL * (num_overlaps + (not within.contains(box)))
  for circle in circles:
    distance = box.distance(circle.x, circle.y)
    if distance == 0.0:
      cost += _ON_CENTRE
    elif distance < circle.radius:
      cost += _ON_RIM
    elif distance - circle.radius < gap * (box.top - box.bottom) - 1e-6:
      cost += _NEAR_FOREIGN
  return cost
