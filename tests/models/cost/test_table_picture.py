"""The picture of the table of models."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from cifar_jax import models
from cifar_jax.errors import InputError
from cifar_jax.models.published_errors import DATASETS
from cifar_jax.report.figures import label_placement, model_table
from tests.support.model_rows import fake_row


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


def test_labels_are_short_and_differ() -> None:
  rows = [fake_row(name) for name in models.NAMES if models.family_of(name) == 'pyramidnet']
  texts = [model_table.label_text(rows, row) for row in rows]
  assert '272_a200' in texts and '110_mul_27' in texts and len(set(texts)) == len(texts)


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
