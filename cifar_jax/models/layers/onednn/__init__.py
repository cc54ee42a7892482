"""Convolutions on CPUs by oneDNN, the library that PyTorch's are computed with.

convolution.cc    the foreign functions that XLA calls for convolutions
channel_sums.cc   the same for the sums of batch normalisation, which need no library
library.py        builds both once per machine, and loads them
operations.py     the convolution, its gradients, `vmap` and several devices
sums.py           the sums of batch normalisation
"""

from cifar_jax.models.layers.onednn.library import load
from cifar_jax.models.layers.onednn.operations import convolve
from cifar_jax.models.layers.onednn.sums import channel_sums

__all__ = ['channel_sums', 'convolve', 'load']
