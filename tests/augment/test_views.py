"""Views of an image whose pixels are numbered, so that their values show their origin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.augment import views
from cifar_jax.config.augmentation import VIEWS, AugmentSettings
from tests.support.fake_cifar import message

# Two images of 3 x 3 pixels: 1 to 9 row by row, and the same plus 100.
IMAGES = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1) + jnp.array([0.0, 100.0])[:, None, None, None]


def views_of_first(name: str, padding: str = 'zero') -> list[list[list[int]]]:
  """The views of the first image, row by row."""
  result = jax.jit(views.make(name, AugmentSettings(pad=1, padding=padding)))(IMAGES)
  assert result.dtype == IMAGES.dtype and result.shape[1:] == IMAGES.shape
  np.testing.assert_array_equal(result[0], IMAGES)  # the centre
  return np.asarray(result)[:, 0, :, :, 0].astype(int).tolist()


def test_none_is_the_image_alone() -> None:
  assert len(views_of_first('none')) == 1


def test_flip_mirrors_left_to_right() -> None:
  assert views_of_first('flip')[1:] == [[[3, 2, 1], [6, 5, 4], [9, 8, 7]]]


def test_flip_shift_shifts_by_one_pixel_along_the_diagonal() -> None:
  six = views_of_first('flip_shift')
  assert six[2] == [[5, 6, 0], [8, 9, 0], [0, 0, 0]]  # up and left
  assert six[4] == [[0, 0, 0], [0, 1, 2], [0, 4, 5]]  # down and right
  assert six[1::2] == [[row[::-1] for row in view] for view in six[::2]]
  assert views_of_first('flip_shift', 'reflect')[4] == [[5, 4, 5], [2, 1, 2], [5, 4, 5]]
  # cifar10-airbench: half for the image and its mirror image, half for the four shifted ones.
  assert views.make('flip_shift', AugmentSettings()).weights == (0.25,) * 2 + (0.125,) * 4


CORNERS = [
  [[0, 0, 0], [0, 1, 2], [0, 4, 5]],
  [[0, 0, 0], [2, 3, 0], [5, 6, 0]],
  [[0, 4, 5], [0, 7, 8], [0, 0, 0]],
  [[5, 6, 0], [8, 9, 0], [0, 0, 0]],
]


def test_five_crop_is_the_centre_and_the_corners_of_the_padded_image() -> None:
  assert views_of_first('five_crop')[1:] == CORNERS


def test_crops_are_padded_as_in_training() -> None:
  assert views_of_first('five_crop', 'reflect')[1] == [[5, 4, 5], [2, 1, 2], [5, 4, 5]]


def test_ten_crop_adds_the_mirror_images_of_five_crop() -> None:
  ten = views_of_first('ten_crop')
  assert ten[:5] == views_of_first('five_crop')
  assert ten[5:] == [[row[::-1] for row in view] for view in ten[:5]]


def test_unknown_views_and_crops_without_training_crops_are_refused() -> None:
  assert 'ten_crop' in message(lambda: views.make('twelve_crop', AugmentSettings()))
  assert 'augment.pad and augment.resize are 0' in message(
    lambda: views.make('ten_crop', AugmentSettings(pad=0))
  )
  assert len(views.make('flip', AugmentSettings(pad=0))(IMAGES)) == 2


@pytest.mark.parametrize('name', VIEWS)
def test_each_name_has_its_number_of_views_and_weights(name: str) -> None:
  counts = {'none': 1, 'flip': 2, 'flip_shift': 6, 'five_crop': 5, 'ten_crop': 10}
  weights = views.make(name, AugmentSettings()).weights
  assert len(views_of_first(name)) == len(weights) == counts[name]
  assert sum(weights) == pytest.approx(1.0)


def test_crops_of_a_run_with_resize_are_those_of_the_enlarged_images() -> None:
  images = jax.random.uniform(jax.random.key(0), (3, 8, 8, 2))
  enlarged = jax.image.resize(images, (3, 12, 12, 2), 'bilinear')
  five = views.make('five_crop', AugmentSettings(pad=0, resize=12))(images)
  for view, (row, column) in zip(five, [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)], strict=True):
    np.testing.assert_array_equal(view, enlarged[:, row : row + 8, column : column + 8])


@pytest.mark.parametrize('name', ['none', 'flip', 'flip_shift'])
def test_images_have_the_scale_of_training_which_enlarges_them(name: str) -> None:
  settings = AugmentSettings(pad=0, resize=5)
  centre = views.make('five_crop', settings)(IMAGES)[0]
  first = views.make(name, settings)(IMAGES)[0]
  np.testing.assert_array_equal(first, centre)
  assert np.any(np.asarray(first) != IMAGES)
