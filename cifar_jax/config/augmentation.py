"""The section `augment`: the strength of each augmentation, and the views of test images."""

import dataclasses
from typing import ClassVar

from cifar_jax.config.section import Section, setting
from cifar_jax.errors import InputError

PADDINGS = ('zero', 'reflect')
CROPS = ('any', 'five')
POLICIES = ('autoaugment', 'randaugment', 'trivialaugment', 'augmix')
VIEWS = ('none', 'flip', 'flip_shift', 'five_crop', 'ten_crop')

_PIXELS = 'pixels, 0 for none'


@dataclasses.dataclass(frozen=True)
class AugmentSettings(Section):
  """The section `augment`: the largest strength of each augmentation, in the order of their use.

  Each image draws its own strength, uniformly from zero (or, where there are two directions, from
  the opposite) up to the one given, unless the attribute says otherwise. 0 and False mean none.

  Attributes:
    autoaugment: one of the 25 sub-policies that AutoAugment found for CIFAR-10.
    randaugment: operations that RandAugment applies to each image, the paper's N.
    randaugment_magnitude: strength of all operations of RandAugment, the paper's M; 10 is the end
      of AutoAugment's ranges.
    trivialaugment: TrivialAugment: one operation for each image, at a random strength.
    augmix: chains of operations that AugMix mixes with each image, the paper's k = 3. The loss of
      its paper, which compares several views of an image, is not part of it.
    augmix_severity: highest strength of AugMix's operations; 10 is the end of AutoAugment's ranges.
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
    padding: what `pad` adds to an image: `zero` (the mean colour) or `reflect`.
    crops: where the crop of `resize` or `pad` is taken from: `any` place, or one of `five`, the
      centre and the corners, with equal probability (Krizhevsky et al. 2012, section 4.1, at test
      time).
    flip: mirror left to right with probability one half.
    vertical_flip: mirror upside down with probability one half.
    alternating_flip: mirror each image in every other epoch, instead of `flip`. The training step
      does this, because it knows the epoch.
    quarter_turns: turn by 0, 90, 180 or 270 degrees with equal probability.
    rotate: largest angle in degrees, in either direction; corners are filled with the mean colour.
    cutout: side in pixels of the square that is set to the mean colour.
    erase: probability of Random Erasing.
    mixup: parameter of the beta distribution of an image's share in its mixture, the paper's alpha.
    cutmix: parameter of the beta distribution of the share of its area that an image keeps, the
      paper's alpha. With `mixup` too, each of the two mixes half of the images.
    mix_probability: share of the images that are mixed.
    tta: views of the test images over which the end of a run evaluates a second time: `none`,
      `flip`, `flip_shift`, `five_crop` or `ten_crop`.
  """

  NAME: ClassVar[str] = 'augment'

  autoaugment: bool = False
  randaugment: int = setting(0, at_least=0, meaning='operations, 0 for none')
  randaugment_magnitude: float = setting(9.0, at_least=0, at_most=10)
  trivialaugment: bool = False
  augmix: int = setting(0, at_least=0, at_most=100, meaning='chains, 0 for none')
  augmix_severity: float = setting(3.0, at_least=0.1, at_most=10)
  brightness: float = setting(0.0, at_least=0, at_most=1)
  contrast: float = setting(0.0, at_least=0, at_most=1)
  saturation: float = setting(0.0, at_least=0, at_most=1)
  hue: float = setting(0.0, at_least=0, at_most=180, meaning='degrees')
  pca_noise: float = setting(0.0, at_least=0, meaning='a standard deviation, 0 for none')
  blur: float = setting(0.0, at_least=0, meaning=_PIXELS)
  sharpen: float = setting(0.0, at_least=0, meaning='a multiple of the edges, 0 for none')
  gaussian_noise: float = setting(0.0, at_least=0, at_most=1)
  salt_and_pepper: float = setting(0.0, at_least=0, at_most=1, meaning='a share of the pixels')
  resize: int = setting(0, at_least=0, meaning=_PIXELS)
  pad: int = setting(4, at_least=0, meaning=_PIXELS)
  padding: str = setting('zero', one_of=PADDINGS)
  crops: str = setting('any', one_of=CROPS)
  flip: bool = True
  vertical_flip: bool = False
  alternating_flip: bool = False
  quarter_turns: bool = False
  rotate: float = setting(0.0, at_least=0, at_most=180, meaning='degrees')
  cutout: int = setting(0, at_least=0, meaning=_PIXELS)
  erase: float = setting(0.0, at_least=0, at_most=1, meaning='a probability')
  mixup: float = setting(0.0, at_least=0, meaning='parameter of a beta distribution, 0 for none')
  cutmix: float = setting(0.0, at_least=0, meaning='parameter of a beta distribution, 0 for none')
  mix_probability: float = setting(1.0, at_least=0, at_most=1, meaning='a probability')
  tta: str = setting('none', one_of=VIEWS)

  def __post_init__(self) -> None:
    """Raises InputError for a value outside its limits, or for two that exclude each other."""
    super().__post_init__()
    if self.resize and self.pad:
      raise InputError(
        f'augment.resize is {self.resize} and augment.pad {self.pad}, but an image is cropped '
        'once: set one of them to 0'
      )
    if self.crops != 'any' and not (self.resize or self.pad):
      raise InputError(
        f'augment.crops is {self.crops}, but augment.resize and augment.pad are 0, so that nothing '
        'is cropped: set one of them'
      )
    if self.flip and self.alternating_flip:
      raise InputError('augment.flip and augment.alternating_flip are two ways to flip: choose one')
    chosen = [f'augment.{name}' for name in POLICIES if getattr(self, name)]
    if len(chosen) > 1:
      raise InputError(f'{" and ".join(chosen)} are policies: choose one')
