"""The random choice of images that are held out."""

import numpy as np

from cifar_jax.errors import InputError


def choose(
  key: str, size: float, total: int, seed: int, images: str
) -> tuple[np.ndarray, np.ndarray]:
  """Divides the indices of images at random.

  Args:
    key: the key of the section `data` that says how many are held out, for the message.
    size: its value: a number of images, or a share of them if it is below 1.
    total: number of images.
    seed: of the choice.
    images: what the images are, for the message.

  Returns:
    The indices to keep and those to hold out, two arrays int64 `[n]` in random order.

  Raises:
    InputError: no image would be kept.
  """
  count = max(1, round(size * total)) if 0 < size < 1 else int(size)
  if count and count >= total:
    raise InputError(
      f'data.{key} is {size:.12g}, which leaves nothing of the {total} {images}: set a smaller one'
    )
  # RandomState, because NumPy has frozen its stream: default_rng may differ between versions.
  order = np.random.RandomState(seed).permutation(total)
  return order[count:], order[:count]
