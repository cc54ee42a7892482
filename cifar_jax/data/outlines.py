"""The outlines of the data set `shapes`, as signed distances to the edge, negative inside.

The arguments of each function are u (to the right) and v (up), in radii from the shape's centre,
and a proportion in [0, 1), whose meaning each shape chooses. They are float32 arrays that broadcast
together. All shapes are symmetric in u and cover about the same area (2).
"""

import math
from collections.abc import Callable

import numpy as np

Field = np.ndarray
Distance = Callable[[Field, Field, Field], Field]


def _length(u: Field, v: Field) -> Field:
  return np.sqrt(u * u + v * v)


def _disc(u: Field, v: Field, proportion: Field) -> Field:
  return _length(u, v) - 0.8


def _ring(u: Field, v: Field, proportion: Field) -> Field:
  hole = 0.4 + 0.25 * proportion
  return np.maximum(_length(u, v) - 0.95, hole - _length(u, v))


def _square(u: Field, v: Field, proportion: Field) -> Field:
  return np.maximum(np.abs(u), np.abs(v)) - 0.72


def _frame(u: Field, v: Field, proportion: Field) -> Field:
  hole = 0.35 + 0.2 * proportion
  side = np.maximum(np.abs(u), np.abs(v))
  return np.maximum(side - 0.85, hole - side)


def _triangle(u: Field, v: Field, proportion: Field) -> Field:
  return np.maximum(math.sqrt(0.75) * np.abs(u) + 0.5 * v, -v) - 0.6


def _cross(u: Field, v: Field, proportion: Field) -> Field:
  u, v, width = np.abs(u), np.abs(v), 0.22 + 0.14 * proportion
  return np.maximum(np.maximum(u, v) - 1, np.minimum(u, v) - width)


def _star(u: Field, v: Field, proportion: Field) -> Field:
  cosine, sine = math.cos(math.pi / 5), math.sin(math.pi / 5)
  u = np.abs(u)
  for side in (1, -1):  # fold the five points onto the upper one
    beyond = 2 * np.maximum(side * cosine * u - sine * v, 0)
    u, v = u - side * cosine * beyond, v + sine * beyond
  notch = 0.42 + 0.15 * proportion
  edge_u, edge_v = notch * sine, notch * cosine - 1.2  # from the point to the notch beside it
  return (edge_u * (v - 1.2) - edge_v * np.abs(u)) / _length(edge_u, edge_v)


def _crescent(u: Field, v: Field, proportion: Field) -> Field:
  bite = 0.8 - 0.25 * proportion
  return np.maximum(_length(u, v) - 1, 0.85 - _length(u, v - bite))


def _heart(u: Field, v: Field, proportion: Field) -> Field:
  u, v, side = np.abs(u), v + 0.1, 0.78  # a square on its tip, a disc on each upper edge
  tip = (u + np.abs(v) - side) * math.sqrt(0.5)
  lobe = _length(u - side / 2, v - side / 2) - side * math.sqrt(0.5)
  return np.minimum(tip, lobe)


def _hourglass(u: Field, v: Field, proportion: Field) -> Field:
  waist = 0.05 + 0.2 * proportion
  u, v = np.abs(u), np.abs(v)
  return np.maximum((u - v * (1.05 - waist) - waist) * math.sqrt(0.5), v - 0.95)


OUTLINES: dict[str, Distance] = {
  'disc': _disc,
  'ring': _ring,
  'square': _square,
  'frame': _frame,
  'triangle': _triangle,
  'cross': _cross,
  'star': _star,
  'crescent': _crescent,
  'heart': _heart,
  'hourglass': _hourglass,
}
