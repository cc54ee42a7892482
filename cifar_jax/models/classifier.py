"""The contract of a model: what the training step, the analyses and the converters rely on.

A model is a Linen module that maps images to logits (`Classifier`). Four optional parts have a
protocol each; code asks for a part with `isinstance`. Names of submodules are part of the
contract too:

  - the batch normalisation of a convolution `conv1` is called `norm1`: it comes after the
    convolution, or before it in pre-activation and wide ResNets, PyramidNets and DenseNets;
  - the last dense layer is called `head`;
  - residual blocks are called `stage1_block1`, `stage1_block2`, ...; `stage1_rest` is a scanned run
    of blocks, whose parameters are stacked along a leading axis.
"""

from typing import Any, Protocol, runtime_checkable

import flax
import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError

CIFAR_IMAGE_SIZE = 32  # pixels
COLLECTIONS = ('params', 'batch_stats')  # the variables of a model
STREAMS = ('dropout', 'drop_path', 'shake')  # of random numbers, in training


@runtime_checkable
class Classifier(Protocol):
  """A Linen module that classifies images.

  `apply(variables, images, train=False)` takes float32 images `[batch, height, width, 3]`,
  normalised, and returns float32 logits `[batch, num_classes]`. `variables` holds the collections
  `params` and `batch_stats`. With `train=True` it normalises by the batch, updates `batch_stats`
  and draws from `STREAMS`.
  """

  num_classes: int

  def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
    """Makes the variables; `nn.Module.init`."""

  def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
    """Maps images to logits; `nn.Module.apply`."""


@runtime_checkable
class Gated(Protocol):
  """A model whose residual branches can be opened and closed.

  Its `__call__` takes `gates` (`layers.Gates` with a leading axis `[num_blocks]`) in place of those
  that it would draw.
  """

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks."""

  @property
  def has_shortcuts(self) -> bool:
    """Whether a block with closed branches passes on its input, or the projection of it."""

  def draw_gates(self, batch_size: int, train: bool) -> Any:
    """The gates that a batch has where none are given; None where all are 1.

    Returns:
      `layers.Gates`, whose arrays are float32 `[num_blocks, branches]`, or `[num_blocks, branches,
      batch_size]` with one gate per image.
    """


@runtime_checkable
class HasAuxiliaryLogits(Protocol):
  """A model that sows further logits in the collection `auxiliary_logits` during training.

  Attributes:
    auxiliary_weight: factor of their loss in what is minimised.
  """

  auxiliary_weight: float


@runtime_checkable
class FittedToData(Protocol):
  """A model with statistics that are computed from training images before the first step.

  Attributes:
    fit_images: number of training images, from the first on, that `fit` needs.
  """

  fit_images: int

  def fit(self, batch_stats: Any, images: jax.Array) -> Any:
    """The fitted statistics.

    Args:
      batch_stats: as `init` made them, perhaps with leading axes on each leaf.
      images: float32 `[n, height, width, 3]`, normalised.

    Returns:
      A tree like `batch_stats`.
    """


@runtime_checkable
class HasImageSize(Protocol):
  """A model made for images of one size."""

  @property
  def image_size(self) -> int:
    """Height and width of the images, in pixels."""


def image_size(model: Any) -> int:
  """Height and width, in pixels, of the images that a model is made for; 32 by default."""
  return model.image_size if isinstance(model, HasImageSize) else CIFAR_IMAGE_SIZE


def check_classifier(model: Any, image_shape: tuple[int, ...]) -> None:
  """Checks, in traces, that a model of a user's own family is a `Classifier`.

  Args:
    model: the module.
    image_shape: height, width and channels.

  Raises:
    InputError: the model has variables of other collections, draws from other streams, or its
      logits have another shape or dtype, in evaluation or in training.
  """
  kind = type(model).__name__
  images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  key = jax.eval_shape(lambda: jax.random.key(0))
  variables = jax.eval_shape(lambda key, images: model.init(key, images, train=False), key, images)
  if others := sorted(set(variables) - set(COLLECTIONS)):
    raise InputError(
      f'{kind} has the variables {", ".join(others)}; a run keeps {" and ".join(COLLECTIONS)} alone'
    )

  def train(key: Any, variables: Any, images: Any) -> Any:
    mutable = ['batch_stats', 'auxiliary_logits']  # as in the training step
    rngs = dict.fromkeys(STREAMS, key)
    return model.apply(variables, images, train=True, mutable=mutable, rngs=rngs)[0]

  evaluated = jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, images)
  try:
    trained = jax.eval_shape(train, key, variables, images)
  except flax.errors.InvalidRngError as error:
    raise InputError(
      f'{kind} draws random numbers from another stream than {", ".join(STREAMS)}, which are those '
      'of a run'
    ) from error
  for logits in (evaluated, trained):
    shape, dtype = getattr(logits, 'shape', None), getattr(logits, 'dtype', None)
    if shape != (2, model.num_classes) or dtype != jnp.float32:
      raise InputError(
        f'{kind} maps 2 images to {shape} of {dtype}; it must return logits, float32 '
        f'[batch, {model.num_classes}]'
      )
