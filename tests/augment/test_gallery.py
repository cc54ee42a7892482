"""The gallery of augmentations: complete, and written all at once."""

import dataclasses
import pathlib

import numpy as np
import PIL.Image
import pytest

from cifar_jax.augment import gallery
from cifar_jax.augment.statistics import Statistics
from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.errors import InputError
from cifar_jax.report.figures import augment_gallery


def test_every_augmentation_has_its_row() -> None:
  shown = set().union(*(fields for _, fields in gallery._EXAMPLES))
  details = {'randaugment_magnitude', 'augmix_severity', 'mix_probability'}
  details |= {'alternating_flip', 'tta'}  # these need an epoch or a net
  assert {field.name for field in dataclasses.fields(AugmentSettings)} == shown | details


def test_a_row_holds_an_image_before_and_after_and_its_soft_label(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  examples = tuple(row for row in gallery._EXAMPLES if row[0].startswith(('Cutout', 'CutMix')))
  monkeypatch.setattr(gallery, '_EXAMPLES', examples)
  images = np.random.RandomState(0).randint(60, 256, (7, 16, 16, 3), np.uint8)
  statistics = Statistics(2, (0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
  cutout, cutmix, five, ten = gallery.rows(images, np.arange(7) % 2, ('cat', 'dog'), statistics)
  np.testing.assert_array_equal(cutout['before'], images[0])
  hole = np.all(cutout['after'] == 0, axis=-1)
  assert hole.any(axis=(1, 2)).all() and hole.sum(axis=(1, 2)).max() <= 64
  np.testing.assert_array_equal(
    cutout['after'][~hole], np.broadcast_to(images[0], (5, 16, 16, 3))[~hole]
  )
  assert cutmix['captions'][0] == 'dog' and set(cutout['captions']) == {''}
  for caption, image in zip(cutmix['captions'][1:], cutmix['after'], strict=True):
    share = np.mean(np.all(image == images[1], axis=-1))
    if 'cat' in caption:
      assert f'{share:.2f} dog' in caption and f'{1 - share:.2f} cat' in caption
  np.testing.assert_array_equal(ten['after'], five['after'][:, :, ::-1])


def test_the_picture_has_every_title_and_leaves_no_other_file(
  tmp_path: pathlib.Path,
) -> None:
  image = np.zeros((8, 8, 3), np.uint8)
  row = {'title': 'Some', 'before': image, 'after': image[None], 'captions': ['a', '0.7 b\n0.3 a']}
  rows = [row | {'title': f'Row {i}'} for i in range(3)]
  figure = augment_gallery.figure(rows, 'All')
  words = {text.get_text() for text in figure.texts}
  assert words == {'All', 'before', 'after', 'Row 0', 'Row 1', 'Row 2', 'a', '0.7 b\n0.3 a'}
  assert len(figure.axes) == 6
  path = augment_gallery.plot(rows, 'All', tmp_path / 'gallery.png')
  with PIL.Image.open(path) as picture:
    assert picture.size[0] > 500
  assert list(tmp_path.iterdir()) == [path]
  with pytest.raises(InputError, match='cannot write'):
    augment_gallery.plot(rows, 'All', tmp_path / 'none' / 'gallery.png')


def test_images_of_all_classes_are_chosen_by_their_contrast() -> None:
  images = np.zeros((6, 2, 2, 3), np.uint8)
  images[:, 0] = np.array([10, 20, 60, 50, 30, 40])[:, None, None]
  labels = np.array([0, 1, 0, 1, 0, 1], np.int32)
  assert list(gallery.choose(images, labels)) == [2, 3, 4, 5, 0, 1]
