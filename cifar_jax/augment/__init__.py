"""Augmentation on the device: pure functions `(key, images) -> images`, vectorised and jittable.

`make` (`pipeline.py`) composes them in this order:

1. Policies, colours, filters and noise (`policies.py`, `colour.py`, `filters.py`,
   `noise.py`) change float32 pixels in [0, 1].
2. The images are normalised.
3. Geometric changes and erasing (`geometric.py`, `erase.py`) change normalised images. They fill
   gaps with zeros, which are then the mean colour, as in fb.resnet.torch and the Cutout paper.
4. Mixing (`mix.py`) blends two images and makes their labels soft.

`views.py` holds the views of test-time augmentation.

To add an augmentation:

1. Write its function in the module of its kind.
2. Add a field with its default and limits to `AugmentSettings` in `config/augmentation.py`. The
   value 0 or False turns the augmentation off.
3. Append the field's name to `_KEY_ORDER` in `pipeline.py`, and put the function at its place in
   the order of `_on_pixels` or `_on_normalized`.
4. Add an example to `gallery.py`. `python -m cifar_jax.augment --gallery FILE.png` shows it.
"""

from typing import TYPE_CHECKING

from cifar_jax.lazy_exports import lazy_exports

if TYPE_CHECKING:
  from cifar_jax.augment.pipeline import Augment, Normalize, make, normalize
  from cifar_jax.augment.statistics import Statistics

__all__ = ['Augment', 'Normalize', 'Statistics', 'make', 'normalize']
__getattr__ = lazy_exports(
  __name__,
  {'pipeline': ('Augment', 'Normalize', 'make', 'normalize'), 'statistics': ('Statistics',)},
)
