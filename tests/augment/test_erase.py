"""Cutout and Random Erasing: the place, the size and the content of the holes."""

import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.augment import erase

N = 2000


def test_cutout_is_a_square_with_a_uniform_centre() -> None:
  out = np.asarray(
    jax.jit(lambda key, x: erase.random_cutout(key, x, size=4))(
      jax.random.key(0), jnp.ones((N, 8, 8, 1))
    )
  )
  holes = out[..., 0] == 0.0
  counts = holes.sum(axis=(1, 2))
  rows, columns = holes.any(axis=2).sum(axis=1), holes.any(axis=1).sum(axis=1)
  np.testing.assert_array_equal(counts, rows * columns)  # a rectangle, cut by the border
  assert rows.max() == columns.max() == 4 and rows.min() == columns.min() == 2
  # Along an axis, the whole square is inside for 5 of 8 centres.
  assert abs(np.mean(counts == 16) - (5 / 8) ** 2) < 0.05
  expected = np.array([min(i + 2, 8) - max(i - 2, 0) for i in range(8)]).mean() / 8
  assert abs(holes.mean() - expected**2) < 0.01


def test_erased_rectangles_have_the_papers_areas_and_aspects_and_lie_inside() -> None:
  black, white = (-2.0, -1.0, -3.0), (2.0, 1.0, 5.0)
  out = np.asarray(
    jax.jit(lambda key, x: erase.random_erasing(key, x, probability=0.5, black=black, white=white))(
      jax.random.key(0), jnp.full((N, 32, 32, 3), 100.0)
    )
  )
  holes = np.any(out != 100.0, axis=-1)
  erased = holes.any(axis=(1, 2))
  assert abs(erased.mean() - 0.5) < 0.04
  holes = holes[erased]
  rows, columns = holes.any(axis=2).sum(axis=1), holes.any(axis=1).sum(axis=1)
  np.testing.assert_array_equal(
    holes.sum(axis=(1, 2)), rows * columns
  )  # complete, so inside the image
  areas, aspects = rows * columns / 1024, rows / columns
  assert 0.015 < areas.min() < 0.04 and 0.37 < areas.max() < 0.43
  assert 0.25 < aspects.min() < 0.35 and 2.7 < aspects.max() < 4.0
  assert abs(areas.mean() - 0.2) < 0.02  # less than 0.21, because large ones fit less often
  assert (
    abs(np.median(aspects[areas < 0.2]) - (0.3 + 1 / 0.3) / 2) < 0.15
  )  # uniform, as in the paper
  tops = holes.any(axis=2).argmax(axis=1)
  assert np.corrcoef(tops, 32 - rows)[0, 1] > 0 and np.all(tops + rows <= 32)
  assert abs(np.mean(tops / np.maximum(32 - rows, 1)) - 0.5) < 0.03
  filled = out[erased][holes]
  for channel, (low, high) in enumerate(zip(black, white, strict=True)):
    values = filled[:, channel]
    assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
    assert abs(values.mean() - (low + high) / 2) < 0.02
