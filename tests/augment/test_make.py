"""The composition of augmentations: its order, its random numbers and its settings."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import augment
from cifar_jax.augment import erase, geometric, views
from cifar_jax.augment.statistics import Statistics
from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.data import pixels
from cifar_jax.data.dataset import Dataset, Split
from cifar_jax.errors import InputError
from cifar_jax.experiment.experiment import augment_statistics
from cifar_jax.runtime.devices import batch_sharding, make_mesh

N = 64
STATISTICS = Statistics(
  num_classes=10,
  mean=(0.5, 0.4, 0.3),
  std=(0.25, 0.2, 0.125),
  covariance=((0.06, 0.05, 0.04), (0.05, 0.06, 0.05), (0.04, 0.05, 0.06)),
)
NONE: dict[str, Any] = {'flip': False, 'pad': 0}  # no augmentation
# A strength for each augmentation, to use alone.
STRENGTHS: dict[str, Any] = {
  'autoaugment': True, 'randaugment': 2, 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4,
  'hue': 90.0, 'pca_noise': 0.5, 'blur': 2.0, 'sharpen': 3.0, 'gaussian_noise': 0.2,
  'salt_and_pepper': 0.3, 'resize': 12, 'pad': 2, 'flip': True, 'quarter_turns': True,
  'rotate': 45.0, 'cutout': 4, 'erase': 1.0, 'mixup': 1.0, 'cutmix': 1.0,
  'vertical_flip': True, 'trivialaugment': True, 'augmix': 3,
}  # fmt: skip


def batch(size: int = 8) -> tuple[jax.Array, jax.Array]:
  """Random images uint8 `[N, size, size, 3]` and labels int32 `[N]`."""
  images = np.random.RandomState(0).randint(0, 256, (N, size, size, 3), np.uint8)
  return jnp.asarray(images), jnp.arange(N) % 10


def apply(**fields: Any) -> tuple[jax.Array, jax.Array]:
  """The images and labels of `batch`, augmented with these fields alone."""
  augment_fn = augment.make(AugmentSettings(**(NONE | fields)), STATISTICS)
  return jax.jit(augment_fn)(jax.random.key(0), *batch())


def test_normalisation_uses_the_mean_and_deviation_of_each_channel() -> None:
  images = jnp.arange(12, dtype=jnp.uint8).reshape(1, 2, 2, 3) * 20
  out = augment.normalize(images, (0.1, 0.2, 0.3), (0.5, 0.25, 0.125))
  expected = (np.asarray(images) / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.25, 0.125]
  assert out.dtype == jnp.float32
  np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_each_augmentation_has_another_key_and_equal_keys_give_equal_images() -> None:
  fields: dict[str, Any] = {'flip': True, 'pad': 2, 'padding': 'zero', 'cutout': 3}
  augment_fn = jax.jit(augment.make(AugmentSettings(**fields), STATISTICS))
  (first, labels), (again, _), (other, _) = (
    augment_fn(jax.random.key(seed), *batch()) for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(first, again)
  key, (images, original_labels) = jax.random.key(0), batch()

  @jax.jit
  def by_hand(key: jax.Array, images: jax.Array) -> jax.Array:
    images = augment.normalize(images, STATISTICS.mean, STATISTICS.std)
    images = geometric.random_crop(jax.random.fold_in(key, 0), images, pad=2, padding='zero')
    images = geometric.random_flip(jax.random.fold_in(key, 1), images)
    return erase.random_cutout(jax.random.fold_in(key, 2), images, size=3)

  np.testing.assert_allclose(first, by_hand(key, images), rtol=1e-6, atol=1e-6)
  np.testing.assert_array_equal(labels, original_labels)
  assert first.dtype == jnp.float32 and first.shape == images.shape
  assert np.mean(np.any(np.asarray(first) != np.asarray(other), axis=(1, 2, 3))) > 0.9


def test_without_augmentations_images_are_only_normalised() -> None:
  out, labels = apply()
  expected = augment.normalize(batch()[0], STATISTICS.mean, STATISTICS.std)
  np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)
  assert labels.dtype == jnp.int32


def test_every_field_is_a_strength_or_a_detail_of_a_strength() -> None:
  fields = {field.name for field in dataclasses.fields(AugmentSettings)}
  details = {'randaugment_magnitude', 'augmix_severity', 'padding', 'crops', 'mix_probability'}
  elsewhere = {'alternating_flip', 'tta'}  # for the training step and the evaluation
  assert fields - set(STRENGTHS) == details | elsewhere
  excluded = {'pad': 0, 'randaugment': 0, 'trivialaugment': False, 'augmix': 0}
  settings = AugmentSettings(**(NONE | STRENGTHS | excluded))
  assert all(getattr(settings, name) for name in set(STRENGTHS) - set(excluded))


@pytest.mark.parametrize('name', STRENGTHS)
def test_each_augmentation_alone_changes_images(name: str) -> None:
  out, labels = apply(**{name: STRENGTHS[name]})
  plain = augment.normalize(batch()[0], STATISTICS.mean, STATISTICS.std)
  changed = np.any(np.abs(np.asarray(out) - np.asarray(plain)) > 1e-4, axis=(1, 2, 3))
  assert out.shape == plain.shape and np.all(np.isfinite(out))
  assert changed.mean() > (0.3 if 'flip' in name else 0.6)
  assert labels.shape == ((N, 10) if name in ('mixup', 'cutmix') else (N,))
  # Pixels stay within the scale, whatever colours and noise do to them.
  if name not in ('resize', 'pad', 'rotate', 'mixup'):
    pixels = np.asarray(out) * STATISTICS.std + STATISTICS.mean
    assert pixels.min() > -1e-5 and pixels.max() < 1 + 1e-5


def test_random_numbers_do_not_depend_on_other_augmentations() -> None:
  alone, _ = apply(cutout=4)
  with_flip, _ = apply(cutout=4, flip=True)
  holes = np.asarray(alone)[..., 0] == 0  # no byte is the mean of the first channel
  np.testing.assert_array_equal(holes, np.asarray(with_flip)[..., 0] == 0)
  assert holes.any(axis=(1, 2)).all()


def test_five_crops_of_padded_and_of_enlarged_images_are_those_of_test_time() -> None:
  images, _ = batch()
  plain = augment.normalize(images, STATISTICS.mean, STATISTICS.std)
  settings_of_crops: tuple[dict[str, Any], ...] = ({'pad': 2}, {'pad': 0, 'resize': 12})
  for fields in settings_of_crops:
    out, _ = apply(crops='five', **fields)
    settings = AugmentSettings(**fields)
    expected = jax.jit(lambda x, s=settings: views.five_crop(x, settings=s))(plain)
    errors = np.abs(np.asarray(out) - np.asarray(expected)).max(axis=(2, 3, 4))  # [views, N]
    assert errors.min(axis=0).max() < 1e-4
    assert set(errors.argmin(axis=0)) == set(range(5))


@pytest.mark.ci
def test_two_devices_compute_the_same_as_one() -> None:
  fields = NONE | {'pad': 2, 'rotate': 45.0, 'cutout': 4, 'cutmix': 1.0}
  augment_fn = augment.make(AugmentSettings(**fields), STATISTICS)
  results = []
  for devices in (1, 2):
    mesh = make_mesh(num_devices=devices)
    sharded = jax.device_put(batch(), batch_sharding(mesh))
    results.append(jax.jit(augment_fn)(jax.random.key(0), *sharded))
  assert len(results[1][0].sharding.device_set) == 2
  for one, two in zip(*results, strict=True):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def test_the_covariance_is_computed_only_if_it_is_used() -> None:
  images = np.random.RandomState(0).randint(0, 256, (9, 4, 4, 3), np.uint8)
  split = Split(images, np.zeros(9, np.int32))
  mean, std = pixels.mean_and_std(pixels.channel_sums(images), 16)
  dataset = Dataset('some', ('a', 'b'), split, split, split, mean, std)
  measured = augment_statistics(dataset, AugmentSettings(pca_noise=0.1))
  assert measured[:3] == (2, mean, std)
  np.testing.assert_allclose(np.diag(measured.covariance), np.square(std), rtol=1e-9)
  assert not np.any(augment_statistics(dataset, AugmentSettings()).covariance)


@pytest.mark.parametrize(
  'fields',
  [
    *({'pad': -1}, {'cutout': -2}, {'padding': 'wrap'}, {'rotate': 181.0}, {'erase': 1.5}),
    *({'brightness': 1.1}, {'hue': -1.0}, {'mixup': -0.1}, {'mix_probability': 2.0}),
    *({'blur': float('nan')}, {'sharpen': float('inf')}, {'randaugment_magnitude': 11.0}),
    *({'resize': 40, 'pad': 4}, {'autoaugment': True, 'randaugment': 2}),
    *({'trivialaugment': True, 'augmix': 3}, {'augmix_severity': 0.0}, {'augmix': 101}),
    *({'crops': 'six'}, {'crops': 'five', 'pad': 0}),
  ],
)
def test_impossible_augmentations_are_named(fields: dict[str, Any]) -> None:
  with pytest.raises(InputError, match=f'augment.{next(iter(fields))}') as error:
    AugmentSettings(**fields)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(('fields', 'size'), [({'resize': 6}, 8), ({'quarter_turns': True}, 12)])
def test_an_augmentation_that_the_image_size_forbids_is_named(
  fields: dict[str, Any], size: int
) -> None:
  augment_fn = augment.make(AugmentSettings(**(NONE | fields)), STATISTICS)
  images = jax.ShapeDtypeStruct((2, 8, size, 3), 'uint8')
  with pytest.raises(InputError, match=f'augment.{next(iter(fields))}'):
    jax.eval_shape(augment_fn, jax.random.key(0), images, jax.ShapeDtypeStruct((2,), 'int32'))
