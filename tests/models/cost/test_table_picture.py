"""The picture of the table of models."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from cifar_jax import models
from cifar_jax.errors import InputError
from cifar_jax.models.published_errors import DATASETS
from cifar_jax.report.figures import label_placement, model_table
from tests.support.model_rows import fake_row


@pytest.mark.ci
@pytest.mark.parametrize('dataset', DATASETS)
def test_the_picture_has_a_circle_for_every_published_model(dataset: str) -> None:
  rows = [fake_row(name) for name in models.NAMES]
  known = [row for row in rows if row['published'] and row['published'][dataset] is not None]
  axes = model_table.figure(rows, dataset, DATASETS[dataset]).axes[0]
  circles = {
    circle.get_label(): circle
    for circle in axes.collections
    if isinstance(circle, PathCollection) and len(np.asarray(circle.get_offsets()))
  }
  assert set(circles) == {row['name'] for row in known}
  for row in known:
    circle = circles[row['name']]
    point = [row['multiply_adds'], row['published'][dataset]]
    assert np.asarray(circle.get_offsets()).tolist() == [point]
  areas = {circles[row['name']].get_sizes()[0] / row['num_params'] for row in known}
  assert max(areas) - min(areas) < 1e-9  # proportional to the parameters
  assert axes.get_xscale() == 'log'


def test_no_point_is_better_in_both_ways_than_one_of_the_front() -> None:
  points = [(3.0, 5.0), (1.0, 9.0), (2.0, 9.0), (2.0, 5.0), (4.0, 4.0), (1.0, 9.0), (5.0, 4.0)]
  assert model_table.pareto_front(points) == [1, 3, 4]
  assert model_table.pareto_front([(1.0, 1.0)]) == [0]


@pytest.mark.ci
@pytest.mark.parametrize('dataset', DATASETS)
def test_only_the_front_has_labels_and_they_do_not_overlap(dataset: str) -> None:
  rows = [fake_row(name) for name in models.NAMES]
  known = [row for row in rows if row['published'] and row['published'][dataset] is not None]
  picture = model_table.figure(rows, dataset, DATASETS[dataset])
  picture.draw_without_rendering()
  (axes,) = picture.axes
  texts = [text for text in axes.texts if text.get_text()]
  front = model_table.pareto_front([(r['multiply_adds'], r['published'][dataset]) for r in known])
  assert {text.get_text() for text in texts} == {known[i]['name'] for i in front}
  assert len(front) < len(known)
  boxes = [label_placement.Box(*text.get_window_extent().extents) for text in texts]
  assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_label_avoids_a_circle_without_one() -> None:
  circle, within = label_placement.Circle(50, 50, 5), label_placement.Box(0, 0, 100, 100)
  other = label_placement.Circle(65, 50, 3)
  (box,) = label_placement.place([circle], [(20, 10)], within, [other])
  assert box.distance(*other[:2]) > other.radius


def test_labels_neither_overlap_nor_leave_the_picture() -> None:
  circles = [label_placement.Circle(100 + 7 * (i % 6), 100 + 5 * (i // 6), 4) for i in range(24)]
  within = label_placement.Box(0, 0, 400, 300)
  boxes = label_placement.place(circles, [(40, 10)] * 24, within)
  assert all(within.contains(box) for box in boxes)
  assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_single_label_is_to_the_right_of_its_circle() -> None:
  (box,) = label_placement.place(
    [label_placement.Circle(50, 50, 5)], [(20, 10)], label_placement.Box(0, 0, 100, 100)
  )
  assert box == label_placement.Box(56, 45, 76, 55)


def test_a_picture_without_published_errors_is_refused() -> None:
  with pytest.raises(InputError, match='none of these models'):
    model_table.figure([fake_row('wrn_22_1')], 'imagenet', 'ImageNet')
