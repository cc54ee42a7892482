"""Configurations: every key of a run, with its default and its limits.

`base` makes the configuration that every file of `configs/` starts from; `load` reads such a file.
Each section is one dataclass (in `dataset.py`, `augmentation.py`, `optimization.py` and
`training.py`), so that a key, its default and its limits stand in one place.
"""

from cifar_jax.config.base import base
from cifar_jax.config.command_line import arguments, one_of, override
from cifar_jax.config.loading import load

__all__ = ['arguments', 'base', 'load', 'one_of', 'override']
