"""The gallery: complete, and drawn whole."""

import dataclasses

import numpy as np
import PIL.Image
import pytest

from cifar_jax import augment
from cifar_jax.augment import __main__ as command
from cifar_jax.augment import gallery
from cifar_jax.data import Split
from cifar_jax.errors import InputError
from cifar_jax.report import augment_gallery


def test_every_augmentation_has_its_row():
  shown = set().union(*(fields for _, fields in gallery._EXAMPLES))
  details = {'randaugment_magnitude', 'mix_probability'}
  details |= {'alternating_flip', 'tta'}  # which want an epoch, or a net
  assert {field.name for field in dataclasses.fields(augment.Settings)} == shown | details


def test_rows_hold_an_image_before_and_after_with_the_parts_of_its_label(monkeypatch):
  examples = tuple(row for row in gallery._EXAMPLES if row[0].startswith(('Cutout', 'CutMix')))
  monkeypatch.setattr(gallery, '_EXAMPLES', examples)
  images = np.random.RandomState(0).randint(60, 256, (7, 16, 16, 3), np.uint8)
  statistics = augment.Statistics(2, (0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
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


def test_the_picture_has_every_title_and_is_replaced_only_when_whole(tmp_path):
  image = np.zeros((8, 8, 3), np.uint8)
  row = {'title': 'Some', 'before': image, 'after': image[None], 'captions': ['a', '0.7 b\n0.3 a']}
  rows = [row | {'title': f'Row {i}'} for i in range(3)]
  figure = augment_gallery.figure(rows, 'All')
  words = {text.get_text() for text in figure.texts}
  assert words == {'All', 'before', 'after', 'Row 0', 'Row 1', 'Row 2', 'a', '0.7 b\n0.3 a'}
  assert len(figure.axes) == 6
  path = augment_gallery.plot(rows, 'All', tmp_path / 'gallery.png')
  assert PIL.Image.open(path).size[0] > 500 and list(tmp_path.iterdir()) == [path]
  with pytest.raises(InputError, match='cannot write'):
    augment_gallery.plot(rows, 'All', tmp_path / 'none' / 'gallery.png')


def test_images_are_of_every_class_with_the_most_contrast_first():
  images = np.zeros((6, 2, 2, 3), np.uint8)
  images[:, 0] = np.array([10, 20, 60, 50, 30, 40])[:, None, None]
  labels = np.array([0, 1, 0, 1, 0, 1], np.int32)
  assert list(command._choose(Split(images, labels))) == [2, 3, 4, 5, 0, 1]
