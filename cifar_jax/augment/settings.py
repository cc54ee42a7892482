"""The strengths of the augmentations, and the facts of a data set that some of them need."""

import dataclasses
import math
from typing import NamedTuple

from cifar_jax.errors import InputError

PADDINGS = {'zero': 'constant', 'reflect': 'reflect'}

# Least and greatest value, and what the value is.
_LIMITS: dict[str, tuple[float, float, str]] = {
  'pad': (0, math.inf, 'a number of pixels, 0 for none'),
  'resize': (0, math.inf, 'a number of pixels, 0 for none'),
  'cutout': (0, math.inf, 'a number of pixels, 0 for none'),
  'blur': (0, math.inf, 'a number of pixels, 0 for none'),
  'rotate': (0, 180, 'in degrees, from 0 to 180'),
  'hue': (0, 180, 'in degrees, from 0 to 180'),
  'brightness': (0, 1, 'from 0 to 1'),
  'contrast': (0, 1, 'from 0 to 1'),
  'saturation': (0, 1, 'from 0 to 1'),
  'pca_noise': (0, math.inf, 'a standard deviation, 0 for none'),
  'sharpen': (0, math.inf, 'a multiple of the edges, 0 for none'),
  'gaussian_noise': (0, 1, 'from 0 to 1'),
  'salt_and_pepper': (0, 1, 'a share of the pixels, from 0 to 1'),
  'erase': (0, 1, 'a probability'),
  'randaugment': (0, math.inf, 'a number of operations, 0 for none'),
  'randaugment_magnitude': (0, 10, 'from 0 to 10'),
  'mixup': (0, math.inf, 'the parameter of a beta distribution, 0 for none'),
  'cutmix': (0, math.inf, 'the parameter of a beta distribution, 0 for none'),
  'mix_probability': (0, 1, 'a probability'),
}


@dataclasses.dataclass(frozen=True)
class Settings:
  """The section `augment`: the greatest strength of each augmentation, in the order of their use.

  Each image draws its own strength, evenly from none (or, where there are two directions, from the
  opposite) up to the one given, unless it is said otherwise. At 0 and False there is none.

  Attributes:
    autoaugment: one of the 25 sub-policies that AutoAugment found for CIFAR-10.
    randaugment: operations that RandAugment applies to each image, the paper's N.
    randaugment_magnitude: of all of them, the paper's M; 10 is the end of AutoAugment's ranges.
    brightness: largest relative change of all values.
    contrast: largest relative change of the distances from the image's mean grey.
    saturation: largest relative change of the distances from each pixel's own grey.
    hue: largest turn of the colour circle, in degrees.
    pca_noise: standard deviation of AlexNet's colour noise, 0.1 in its paper, in units of the
      eigenvalues of the pixels' covariance.
    blur: largest standard deviation of a Gaussian, in pixels.
    sharpen: largest multiple of the edges that is added (an unsharp mask of 1 pixel).
    gaussian_noise: largest standard deviation, in units of the full scale.
    salt_and_pepper: largest share of the pixels that turn white or black.
    resize: side in pixels of the enlarged image that a crop of the image's own size is taken from.
    pad: pixels added on each side before a crop back to the image's size.
    padding: what is added, `zero` (the mean colour) or `reflect`.
    flip: mirror left to right with probability one half.
    alternating_flip: mirror each image in every other epoch, instead of `flip`; the training step
      does this, which knows the epoch.
    quarter_turns: turn by 0, 90, 180 or 270 degrees, each as likely.
    rotate: largest angle, in degrees, either way; the mean colour comes in at the corners.
    cutout: side in pixels of the square set to the mean colour.
    erase: probability of Random Erasing.
    mixup: parameter of the beta distribution of an image's share in its mixture, the paper's alpha.
    cutmix: the same for the area that an image keeps; with both, each mixes half of the images.
    mix_probability: share of the images that are mixed.
    tta: views of the test images, one of `views.NAMES`, over which the end of a run evaluates a
      second time.
  """

  autoaugment: bool = False
  randaugment: int = 0
  randaugment_magnitude: float = 9.0
  brightness: float = 0.0
  contrast: float = 0.0
  saturation: float = 0.0
  hue: float = 0.0
  pca_noise: float = 0.0
  blur: float = 0.0
  sharpen: float = 0.0
  gaussian_noise: float = 0.0
  salt_and_pepper: float = 0.0
  resize: int = 0
  pad: int = 4
  padding: str = 'zero'
  flip: bool = True
  alternating_flip: bool = False
  quarter_turns: bool = False
  rotate: float = 0.0
  cutout: int = 0
  erase: float = 0.0
  mixup: float = 0.0
  cutmix: float = 0.0
  mix_probability: float = 1.0
  tta: str = 'none'

  def __post_init__(self) -> None:
    """Raises InputError for a value out of range, and for two that exclude each other."""
    if self.padding not in PADDINGS:
      raise InputError(f'augment.padding is {self.padding!r}; it is one of {", ".join(PADDINGS)}')
    for name, (least, greatest, what) in _LIMITS.items():
      value = getattr(self, name)
      if not least <= value <= greatest or math.isinf(value):
        raise InputError(f'augment.{name} is {value}; it is {what}')
    if self.resize and self.pad:
      raise InputError(
        f'augment.resize is {self.resize} and augment.pad {self.pad}, but an image is cropped '
        'once: set one of them to 0'
      )
    if self.flip and self.alternating_flip:
      raise InputError('augment.flip and augment.alternating_flip are two ways to flip: choose one')
    if self.autoaugment and self.randaugment:
      raise InputError('augment.autoaugment and augment.randaugment are policies: choose one')


class Statistics(NamedTuple):
  """What the augmentations need to know of a data set; by default, what leaves pixels as they are.

  Attributes:
    num_classes: how many labels there are.
    mean, std: of each channel over the training split, in units of the full scale.
    covariance: of the channels over its pixels, 3 rows of 3, in units of the full scale squared.
  """

  num_classes: int
  mean: tuple[float, ...] = (0.0, 0.0, 0.0)
  std: tuple[float, ...] = (1.0, 1.0, 1.0)
  covariance: tuple[tuple[float, ...], ...] = ((0.0, 0.0, 0.0),) * 3
