"""Colours, filters and noise against colorsys, NumPy and their distributions."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.augment import colour, filters, noise
from cifar_jax.data import pixels

N = 2000


def random_images(batch: int = 4, size: int = 8) -> jax.Array:
  return jax.random.uniform(jax.random.key(9), (batch, size, size, 3), minval=0.1, maxval=0.9)


@pytest.mark.parametrize('degrees', [0.0, 36.0, -120.0, 180.0])
def test_hue_turns_as_in_colorsys(degrees: float) -> None:
  grey_and_primaries = jnp.array([[0.3, 0.3, 0.3], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]])
  images = jnp.concatenate([random_images(1)[0].reshape(-1, 3), grey_and_primaries])[None, None]
  out = jax.jit(colour.turn_hue)(images, jnp.full((1, 1, 1, 1), degrees))
  for before, after in zip(np.asarray(images).reshape(-1, 3), out.reshape(-1, 3), strict=True):
    hue, saturation, value = colorsys.rgb_to_hsv(*before)
    expected = colorsys.hsv_to_rgb((hue + degrees / 360) % 1, saturation, value)
    np.testing.assert_allclose(after, expected, atol=2e-6)


@pytest.mark.parametrize('name', ['brightness', 'contrast', 'saturation'])
def test_jitter_scales_the_distance_from_its_base_by_a_uniform_factor(name: str) -> None:
  image = 0.5 + 0.2 * (random_images(1) - 0.5)  # so that nothing is clipped
  images = jnp.broadcast_to(image, (N, *image.shape[1:]))
  function = getattr(colour, f'random_{name}')
  out = jax.jit(lambda key, x: function(key, x, strength=0.4))(jax.random.key(0), images)
  grey = np.asarray(image, np.float64) @ [0.299, 0.587, 0.114]
  base = {'brightness': 0.0, 'contrast': grey.mean(), 'saturation': grey[..., None]}[name]
  distance = np.asarray(image) - base
  factors = np.sum((np.asarray(out) - base) * distance, axis=(1, 2, 3)) / np.sum(distance**2)
  np.testing.assert_allclose(out, base + factors[:, None, None, None] * distance, atol=1e-5)
  assert 0.6 - 1e-4 < factors.min() < 0.61 and 1.39 < factors.max() < 1.4 + 1e-4
  assert abs(factors.mean() - 1) < 0.02 and abs(factors.std() - 0.8 / np.sqrt(12)) < 0.01


def test_jitter_is_clipped_at_black_and_white() -> None:
  out = jax.jit(lambda key, x: colour.random_brightness(key, x, strength=1.0))(
    jax.random.key(0), jnp.full((64, 2, 2, 3), 0.9)
  )
  assert out.max() == 1.0 and out.min() >= 0.0


def test_random_hue_is_uniform_in_both_directions() -> None:
  red = jnp.broadcast_to(jnp.array([0.8, 0.2, 0.2]), (N, 1, 1, 3))
  out = jax.jit(lambda key, x: colour.random_hue(key, x, degrees=60.0))(jax.random.key(0), red)
  hues = np.array([colorsys.rgb_to_hsv(*rgb)[0] for rgb in np.asarray(out).reshape(-1, 3)])
  turns = (hues * 360 + 180) % 360 - 180
  counts = np.histogram(turns, bins=4, range=(-60, 60))[0]
  assert np.abs(turns).max() < 60.1 and counts.min() > 0.85 * N / 4


def test_pca_noise_has_the_eigenvectors_of_the_data_and_their_eigenvalues_as_deviations() -> None:
  random = np.random.RandomState(0)
  mixing = np.array([[1.0, 0.2, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 0.2]])
  bytes_ = np.clip(128 + 40 * random.normal(size=(50, 4, 4, 3)) @ mixing, 0, 255).astype(np.uint8)
  covariance = pixels.covariance(bytes_)
  np.testing.assert_allclose(
    covariance, np.cov(bytes_.reshape(-1, 3).T / 255.0, bias=True), rtol=1e-10
  )
  images = jnp.full((20_000, 1, 1, 3), 0.5)
  out = jax.jit(lambda key, x: colour.pca_noise(key, x, sigma=0.5, covariance=covariance))(
    jax.random.key(0), images
  )
  noise_ = np.asarray(out - 0.5, np.float64).reshape(-1, 3)
  values, vectors = np.linalg.eigh(np.array(covariance))
  along = noise_ @ vectors
  np.testing.assert_allclose(along.std(axis=0), 0.5 * values, rtol=0.03)
  assert np.abs(np.corrcoef(along.T) - np.eye(3)).max() < 0.03


def test_blur_is_a_convolution_with_a_gaussian() -> None:
  images = random_images(3, 12)
  sigmas = np.array([0.0, 0.7, 1.5])
  out = jax.jit(filters.blur)(images, jnp.asarray(sigmas))
  np.testing.assert_allclose(out[0], images[0], atol=1e-6)
  for image, blurred, sigma in list(zip(np.asarray(images), out, sigmas, strict=True))[1:]:
    kernel = np.exp(-0.5 * (np.arange(-11, 12) / sigma) ** 2)
    ones = np.convolve(np.ones(12), kernel, mode='full')[11:-11]
    blur = lambda line: np.convolve(line, kernel, mode='full')[11:-11] / ones  # noqa: B023, E731
    expected = np.apply_along_axis(blur, 1, np.apply_along_axis(blur, 0, image))
    np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_random_blur_has_a_uniform_deviation() -> None:
  point = jnp.zeros((N, 15, 15, 1)).at[:, 7, 7].set(1.0)
  out = np.asarray(
    jax.jit(lambda key, x: filters.random_blur(key, x, sigma=2.0))(jax.random.key(0), point)
  )
  np.testing.assert_allclose(out.sum(axis=(1, 2, 3)), 1.0, rtol=0.02)
  variances = np.sum(out[..., 0].sum(axis=2) * (np.arange(15) - 7) ** 2, axis=1)
  # The mean square of sigma, uniform up to 2, is 4 / 3. The border increases the largest ones.
  assert abs(variances.mean() - 4 / 3) < 0.1 and 3.8 < variances.max() < 4.4


def test_sharpening_adds_a_multiple_of_the_difference_from_a_blur() -> None:
  images = 0.5 + 0.1 * (random_images(N // 10) - 0.5)
  out = jax.jit(lambda key, x: filters.random_sharpen(key, x, amount=3.0))(
    jax.random.key(0), images
  )
  edges = np.asarray(images - filters.blur(images, jnp.full(len(images), filters.MASK_SIGMA)))
  change = np.asarray(out - images)
  factors = np.sum(change * edges, axis=(1, 2, 3)) / np.sum(edges**2, axis=(1, 2, 3))
  np.testing.assert_allclose(change, factors[:, None, None, None] * edges, atol=1e-6)
  assert factors.min() > -1e-3 and factors.max() < 3.001 and abs(factors.mean() - 1.5) < 0.2


def test_gaussian_noise_has_a_uniform_deviation_and_independent_values() -> None:
  images = jnp.full((500, 8, 8, 3), 0.5)
  out = jax.jit(lambda key, x: noise.gaussian_noise(key, x, sigma=0.1))(jax.random.key(0), images)
  deviations = np.asarray(out - 0.5).reshape(500, -1)
  spread = deviations.std(axis=1)
  assert abs(spread.mean() - 0.05) < 0.005 and 0.09 < spread.max() < 0.11 and spread.min() < 0.005
  assert np.abs(deviations.mean()) < 0.001
  standard = deviations / spread[:, None]
  assert abs(np.mean(np.abs(standard) < 1) - 0.683) < 0.01  # normal
  channels = standard.reshape(-1, 3)
  assert np.abs(np.corrcoef(channels.T) - np.eye(3)).max() < 0.02
  white = jax.jit(lambda key, x: noise.gaussian_noise(key, x, sigma=0.5))(
    jax.random.key(0), images * 2
  )
  assert white.max() == 1.0 and white.min() >= 0.0


def test_salt_and_pepper_are_whole_pixels_equally_often() -> None:
  images = jnp.full((N, 8, 8, 3), 0.5)
  out = np.asarray(
    jax.jit(lambda key, x: noise.salt_and_pepper(key, x, share=0.4))(jax.random.key(0), images)
  )
  assert set(np.unique(out)) == {0.0, 0.5, 1.0}
  assert np.all(out == out[..., :1])
  salt, pepper = (out[..., 0] == 1).mean(axis=(1, 2)), (out[..., 0] == 0).mean(axis=(1, 2))
  assert abs(salt.mean() - 0.1) < 0.005 and abs(pepper.mean() - 0.1) < 0.005
  # The shares of images differ by more than chance alone would make them.
  assert 0.1 < (salt + pepper).std() < 0.15 and (salt + pepper).max() < 0.65
