"""Sharpness-aware minimisation: Foret et al. 2021, arXiv 2010.01412.

A step takes the gradient twice: at the weights, then at the point within a radius where the loss is
highest to first order. The second gradient goes to the optimizer.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

_SMALLEST_NORM = 1e-12  # a gradient of zero moves nothing


def highest_point(params: Any, gradient: Any, radius: float) -> Any:
  """The weights moved by a radius along the gradient, equation 2 of the paper with p = 2.

  Args:
    params: a tree of float32 arrays.
    gradient: the gradient of the loss at `params`.
    radius: the length of the move in the norm of all weights together, the paper's ρ.
  """
  scale = radius / jnp.maximum(optax.tree.norm(gradient), _SMALLEST_NORM)
  return jax.tree.map(lambda weight, slope: weight + scale * slope, params, gradient)
