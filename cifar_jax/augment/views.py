"""Views of an image for test-time augmentation: all of `[batch, ...]` as `[views, batch, ...]`.

A prediction is the mean over the views of the probabilities.
"""

import jax
import jax.numpy as jnp

KINDS = ('flip', 'five_crop', 'ten_crop')


def views(images: jax.Array, kind: str, *, pad: int = 4, resize: int = 0) -> jax.Array:
  """The views of a kind, each of the images' own size.

  Args:
    images: float32 `[batch, height, width, channels]`, normalised.
    kind: one of `KINDS`.
    pad: pixels of zeros added on each side before cropping, as in training.
    resize: side in pixels to enlarge images to instead, as in training; 0 to pad.

  Returns:
    float32 `[views, batch, height, width, channels]` with 2, 5 or 10 views.

  Raises:
    ValueError: another kind.
  """
  if kind == 'flip':
    return flip(images)
  batch, height, width, channels = images.shape
  if resize:
    images = jax.image.resize(images, (batch, resize, resize, channels), 'bilinear')
  else:
    images = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  crops = {'five_crop': five_crop, 'ten_crop': ten_crop}
  if kind not in crops:
    raise ValueError(f'{kind!r} is no kind of views; there are {", ".join(KINDS)}')
  return crops[kind](images, height, width)


def flip(images: jax.Array) -> jax.Array:
  """Images `[batch, height, width, channels]` and their mirror images: `[2, batch, ...]`."""
  return jnp.stack([images, images[:, :, ::-1]])


def five_crop(images: jax.Array, height: int, width: int) -> jax.Array:
  """The four corners and the centre: upper left and right, lower left and right, centre.

  Args:
    images: `[batch, rows, columns, channels]`.
    height: of the crops, at most the images'.
    width: likewise.

  Returns:
    `[5, batch, height, width, channels]`, of the same dtype.
  """
  bottom, right = images.shape[1] - height, images.shape[2] - width
  corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
  return jnp.stack([images[:, r : r + height, c : c + width] for r, c in corners])


def ten_crop(images: jax.Array, height: int, width: int) -> jax.Array:
  """`five_crop`, and their mirror images: Krizhevsky et al. 2012, section 4.1.

  Args:
    images: `[batch, rows, columns, channels]`.
    height: of the crops, at most the images'.
    width: likewise.

  Returns:
    `[10, batch, height, width, channels]`, of the same dtype; the mirror images are the last five.
  """
  crops = five_crop(images, height, width)
  return jnp.concatenate([crops, crops[:, :, :, ::-1]])
