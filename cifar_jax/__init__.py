"""CIFAR research in JAX."""
