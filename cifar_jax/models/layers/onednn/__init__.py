"""Convolutions on CPUs by oneDNN, the library that PyTorch's are computed with.

convolution.cc    the foreign functions that XLA calls
library.py        builds them once per machine, and loads them
operations.py     the convolution, its gradients, `vmap` and several devices
"""

from cifar_jax.models.layers.onednn.library import load
from cifar_jax.models.layers.onednn.operations import convolve

__all__ = ['convolve', 'load']
