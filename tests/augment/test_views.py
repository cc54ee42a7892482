"""Views of an image that counts its pixels: where each comes from is read off its values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_cifar import message

from cifar_jax.augment import Settings, views

# Two images of 3 x 3 pixels: 1 to 9 row by row, and the same plus 100.
IMAGES = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1) + jnp.array([0.0, 100.0])[:, None, None, None]


def see(name, padding='zero'):
  found = jax.jit(views.make(name, Settings(pad=1, padding=padding)))(IMAGES)
  assert found.dtype == IMAGES.dtype and found.shape[1:] == IMAGES.shape
  np.testing.assert_array_equal(found[0], IMAGES)  # the centre
  return np.asarray(found)[:, 0, :, :, 0].astype(int).tolist()


def test_one_view_is_the_image():
  assert len(see('none')) == 1


def test_flip_mirrors_left_to_right():
  assert see('flip')[1:] == [[[3, 2, 1], [6, 5, 4], [9, 8, 7]]]


def test_flip_shift_shifts_by_a_pixel_along_the_diagonal():
  six = see('flip_shift')
  assert six[2] == [[5, 6, 0], [8, 9, 0], [0, 0, 0]]  # up and left
  assert six[4] == [[0, 0, 0], [0, 1, 2], [0, 4, 5]]  # down and right
  assert six[1::2] == [[row[::-1] for row in view] for view in six[::2]]
  assert see('flip_shift', 'reflect')[4] == [[5, 4, 5], [2, 1, 2], [5, 4, 5]]
  # airbench: half for the image and its mirror image, half for their four shifts.
  assert views.make('flip_shift', Settings()).weights == (0.25,) * 2 + (0.125,) * 4


CORNERS = [
  [[0, 0, 0], [0, 1, 2], [0, 4, 5]],
  [[0, 0, 0], [2, 3, 0], [5, 6, 0]],
  [[0, 4, 5], [0, 7, 8], [0, 0, 0]],
  [[5, 6, 0], [8, 9, 0], [0, 0, 0]],
]


def test_five_crop_is_the_centre_and_the_corners_of_the_padded_image():
  assert see('five_crop')[1:] == CORNERS


def test_what_lies_outside_is_as_in_training():
  assert see('five_crop', 'reflect')[1] == [[5, 4, 5], [2, 1, 2], [5, 4, 5]]


def test_ten_crop_mirrors_the_five():
  ten = see('ten_crop')
  assert ten[:5] == see('five_crop')
  assert ten[5:] == [[row[::-1] for row in view] for view in ten[:5]]


def test_what_cannot_be_is_refused():
  assert 'ten_crop' in message(lambda: views.make('twelve_crop', Settings()))
  assert 'augment.pad and augment.resize are 0' in message(
    lambda: views.make('ten_crop', Settings(pad=0))
  )
  assert len(views.make('flip', Settings(pad=0))(IMAGES)) == 2


@pytest.mark.parametrize('name', views.NAMES)
def test_each_name_has_its_views(name):
  counts = {'none': 1, 'flip': 2, 'flip_shift': 6, 'five_crop': 5, 'ten_crop': 10}
  weights = views.make(name, Settings()).weights
  assert len(see(name)) == len(weights) == counts[name]
  assert sum(weights) == pytest.approx(1.0)


def test_views_of_enlarged_images_are_crops_of_those():
  images = jax.random.uniform(jax.random.key(0), (3, 8, 8, 2))
  enlarged = jax.image.resize(images, (3, 12, 12, 2), 'bilinear')
  five = views.make('five_crop', Settings(pad=0, resize=12))(images)
  for view, (row, column) in zip(five, [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)], strict=True):
    np.testing.assert_array_equal(view, enlarged[:, row : row + 8, column : column + 8])
