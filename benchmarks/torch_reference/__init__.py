"""PyTorch reference nets: one module per family, for the race and for the reference logits.

`benchmarks/speed` trains some of them against our nets, and `tests/reference/make_logits.py` writes
down their logits for the tests. The nets are written from the papers and their authors' code, not
from `cifar_jax`, so that both sides do not share a mistake. Only the names of the layers are those
of the Flax models; the weights of the tests are filled by these names.

In training the nets of the race compute what their papers say. Stochastic depth, ShakeDrop, drop
path and dropout are there in evaluation only. Nothing but `torch` is imported (`deformable` needs
torchvision), as PyTorch may be installed for another Python than JAX.
"""
