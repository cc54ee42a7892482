"""The composition: its spaces, its order, its draws, its settings."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import augment, data, experiment, sharding
from cifar_jax.augment import erase, geometric
from cifar_jax.data import pixels
from cifar_jax.errors import InputError

N = 64
STATISTICS = augment.Statistics(
  num_classes=10,
  mean=(0.5, 0.4, 0.3),
  std=(0.25, 0.2, 0.125),
  covariance=((0.06, 0.05, 0.04), (0.05, 0.06, 0.05), (0.04, 0.05, 0.06)),
)
NONE = {'flip': False, 'pad': 0}
# A strength of each, alone.
STRENGTHS = {
  'autoaugment': True, 'randaugment': 2, 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4,
  'hue': 90.0, 'pca_noise': 0.5, 'blur': 2.0, 'sharpen': 3.0, 'gaussian_noise': 0.2,
  'salt_and_pepper': 0.3, 'resize': 12, 'pad': 2, 'flip': True, 'quarter_turns': True,
  'rotate': 45.0, 'cutout': 4, 'erase': 1.0, 'mixup': 1.0, 'cutmix': 1.0,
}  # fmt: skip


def batch(size: int = 8) -> tuple[jax.Array, jax.Array]:
  images = np.random.RandomState(0).randint(0, 256, (N, size, size, 3), np.uint8)
  return jnp.asarray(images), jnp.arange(N) % 10


def applied(key: int = 0, **fields):
  made = augment.make(augment.Settings(**(NONE | fields)), STATISTICS)
  return jax.jit(made)(jax.random.key(key), *batch())


def test_normalisation_is_by_channel_in_units_of_the_full_scale():
  images = jnp.arange(12, dtype=jnp.uint8).reshape(1, 2, 2, 3) * 20
  out = augment.normalize(images, (0.1, 0.2, 0.3), (0.5, 0.25, 0.125))
  expected = (np.asarray(images) / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.25, 0.125]
  assert out.dtype == jnp.float32
  np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_composition_uses_one_key_for_each_and_the_same_key_gives_the_same_images():
  fields = {'flip': True, 'pad': 2, 'padding': 'zero', 'cutout': 3}
  made = jax.jit(augment.make(augment.Settings(**fields), STATISTICS))
  (first, labels), (again, _), (other, _) = (made(jax.random.key(i), *batch()) for i in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  key, (images, given) = jax.random.key(0), batch()

  @jax.jit
  def by_hand(key, images):
    images = augment.normalize(images, STATISTICS.mean, STATISTICS.std)
    images = geometric.random_crop(jax.random.fold_in(key, 0), images, pad=2, padding='zero')
    images = geometric.random_flip(jax.random.fold_in(key, 1), images)
    return erase.random_cutout(jax.random.fold_in(key, 2), images, size=3)

  np.testing.assert_allclose(first, by_hand(key, images), rtol=1e-6, atol=1e-6)
  np.testing.assert_array_equal(labels, given)
  assert first.dtype == jnp.float32 and first.shape == images.shape
  assert np.mean(np.any(np.asarray(first) != np.asarray(other), axis=(1, 2, 3))) > 0.9


def test_nothing_asked_for_is_normalisation():
  out, labels = applied()
  expected = augment.normalize(batch()[0], STATISTICS.mean, STATISTICS.std)
  np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)
  assert labels.dtype == jnp.int32


def test_every_field_is_a_strength_or_a_detail_of_one():
  fields = {field.name for field in dataclasses.fields(augment.Settings)}
  details = {'randaugment_magnitude', 'padding', 'mix_probability'}
  elsewhere = {'alternating_flip', 'tta'}  # the step's, and the evaluation's
  assert fields - set(STRENGTHS) == details | elsewhere
  made = augment.Settings(**(NONE | STRENGTHS | {'pad': 0, 'randaugment': 0}))
  assert all(getattr(made, name) for name in set(STRENGTHS) - {'pad', 'randaugment'})


@pytest.mark.parametrize('name', STRENGTHS)
def test_each_alone_changes_images_of_its_own_accord(name):
  out, labels = applied(**{name: STRENGTHS[name]})
  plain = augment.normalize(batch()[0], STATISTICS.mean, STATISTICS.std)
  changed = np.any(np.abs(np.asarray(out) - np.asarray(plain)) > 1e-4, axis=(1, 2, 3))
  assert out.shape == plain.shape and np.all(np.isfinite(out))
  assert changed.mean() > (0.3 if name == 'flip' else 0.6)
  assert labels.shape == ((N, 10) if name in ('mixup', 'cutmix') else (N,))
  # Pixels stay pixels, whatever colours and noise do to them.
  if name not in ('resize', 'pad', 'rotate', 'mixup'):
    pixels = np.asarray(out) * STATISTICS.std + STATISTICS.mean
    assert pixels.min() > -1e-5 and pixels.max() < 1 + 1e-5


def test_what_one_draws_depends_on_no_other():
  alone, _ = applied(cutout=4)
  beside, _ = applied(cutout=4, flip=True)
  holes = np.asarray(alone)[..., 0] == 0  # no byte is the mean of the first channel
  np.testing.assert_array_equal(holes, np.asarray(beside)[..., 0] == 0)
  assert holes.any(axis=(1, 2)).all()


def test_two_devices_give_what_one_gives():
  fields = NONE | {'pad': 2, 'autoaugment': True, 'cutmix': 1.0}
  made = augment.make(augment.Settings(**fields), STATISTICS)
  results = []
  for devices in (1, 2):
    mesh = sharding.make_mesh(num_devices=devices)
    placed = jax.device_put(batch(), sharding.batch(mesh))
    results.append(jax.jit(made)(jax.random.key(0), *placed))
  assert len(results[1][0].sharding.device_set) == 2
  for one, two in zip(*results, strict=True):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def test_the_covariance_of_the_data_is_measured_where_it_is_used():
  images = np.random.RandomState(0).randint(0, 256, (9, 4, 4, 3), np.uint8)
  split = data.Split(images, np.zeros(9, np.int32))
  mean, std = pixels.mean_and_std(pixels.channel_sums(images), 16)
  dataset = data.Dataset('some', ('a', 'b'), split, split, split, mean, std)
  measured = experiment.statistics(dataset, augment.Settings(pca_noise=0.1))
  assert measured[:3] == (2, mean, std)
  np.testing.assert_allclose(np.diag(measured.covariance), np.square(std), rtol=1e-9)
  assert not np.any(experiment.statistics(dataset, augment.Settings()).covariance)


@pytest.mark.parametrize(
  'fields',
  [
    *({'pad': -1}, {'cutout': -2}, {'padding': 'wrap'}, {'rotate': 181.0}, {'erase': 1.5}),
    *({'brightness': 1.1}, {'hue': -1.0}, {'mixup': -0.1}, {'mix_probability': 2.0}),
    *({'blur': float('nan')}, {'sharpen': float('inf')}, {'randaugment_magnitude': 11.0}),
    *({'resize': 40, 'pad': 4}, {'autoaugment': True, 'randaugment': 2}),
  ],
)
def test_impossible_augmentations_are_named(fields):
  with pytest.raises(InputError, match=f'augment.{next(iter(fields))}') as error:
    augment.Settings(**fields)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(('fields', 'size'), [({'resize': 6}, 8), ({'quarter_turns': True}, 12)])
def test_images_that_an_augmentation_cannot_take_are_named(fields, size):
  made = augment.make(augment.Settings(**(NONE | fields)), STATISTICS)
  images = jax.ShapeDtypeStruct((2, 8, size, 3), 'uint8')
  with pytest.raises(InputError, match=f'augment.{next(iter(fields))}'):
    jax.eval_shape(made, jax.random.key(0), images, jax.ShapeDtypeStruct((2,), 'int32'))
