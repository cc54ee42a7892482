"""Whether a net of the user's own code is still the one that a run trained.

The digest is of the program that JAX traces, so that it covers all that the net computes with:
functions, constants and imported files, whether they are of a module, a notebook or a script. A
comment or another name of a variable changes nothing.
"""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.models import layers, registry
from cifar_jax.models.classifier import COLLECTIONS, STREAMS, check_classifier
from cifar_jax.models.families import Family

logger = logging.getLogger(__name__)

KEY = 'own_net'  # of a result
KEY_OF_SESSIONS = 'own_nets'  # of the `run_info` in a checkpoint: of all sessions so far
UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True)
class OwnNet:
  """A net of the user's own code, which is described once: tracing it takes up to seconds.

  Attributes:
    family: the family that made it.
    model: the Flax module.
    image_shape: height, width and channels of its images.
  """

  family: Family
  model: nn.Module
  image_shape: tuple[int, ...]

  @functools.cached_property
  def description(self) -> str:
    """The digest of the program, hexadecimal, and the version of JAX that traced it.

    Another version may write the same program otherwise. It is `UNKNOWN` for a net that CPUs cannot
    run, such as one with kernels of Pallas.
    """
    try:
      program = _program(self.model, self.image_shape)
    except Exception as error:  # of the user's code, and of the lowering to the CPU's operations
      logger.info('changes of the net will not be noticed: %s', ' '.join(str(error).split())[:200])
      return UNKNOWN
    return f'{hashlib.sha256(program.encode()).hexdigest()} by JAX {jax.__version__}'


def of(name: str, model: nn.Module, image_shape: tuple[int, ...]) -> OwnNet | None:
  """The own net of a model's name; None for a model of the package.

  Raises:
    InputError: the model is no `Classifier` of images of this shape.
  """
  if not (family := registry.own_family(name)):
    return None
  check_classifier(model, image_shape)
  return OwnNet(family, model, image_shape)


def as_it_is_now(net: OwnNet | None) -> OwnNet | None:
  """The same net without its description, for a notebook whose cells may have been run again."""
  return net and dataclasses.replace(net)


def describe(net: OwnNet | None) -> str:
  """What checkpoints and results say of an own net; '' for None."""
  return net.description if net else ''


def origin(net: OwnNet | None) -> dict[str, str]:
  """What evaluations and analyses say of the net by which they were computed; `{}` for None."""
  return {KEY: described} if (described := describe(net)) else {}


def change(earlier: str, now: str) -> str:
  """What is not the same in two descriptions of a net; '' if nothing is, or nothing is known."""
  if earlier == now or UNKNOWN in (earlier, now):
    return ''
  is_same_version = earlier.partition(' ')[2] == now.partition(' ')[2]
  return 'the code of the net' if is_same_version else 'the version of JAX'


def warn_if_changed(net: OwnNet | None, run_info: Mapping[str, Any]) -> None:
  """Logs a warning if an own net does not compute what it did in the last session of a run.

  Args:
    net: the net; None for one of the package.
    run_info: of a checkpoint; earlier versions recorded no net.
  """
  earlier = run_info.get(KEY_OF_SESSIONS, [])
  if net and earlier and (what := change(earlier[-1], describe(net))):
    module, pattern = net.family.module, net.family.pattern
    place = f'module {module}' if module else f'cell or script of {pattern!r}'
    logger.warning(
      '%s has changed since the training, so the net of the %s may compute something else',
      *(what, place),
    )


def _program(model: nn.Module, image_shape: tuple[int, ...]) -> str:
  """The initial weights, the logits in evaluation and training, and the gradient, as StableHLO."""

  def compute(key: jax.Array, images: jax.Array) -> Any:
    variables = dict(model.init(key, images, train=False))
    evaluated = model.apply(variables, images, train=False)
    statistics = {name: variables[name] for name in COLLECTIONS if name in variables}
    params = statistics.pop('params')

    def train(params: Any) -> Any:
      return model.apply(
        {'params': params, **statistics},
        images,
        train=True,
        mutable=['batch_stats', 'auxiliary_logits'],  # as in the training step
        rngs=dict.fromkeys(STREAMS, key),
      )

    trained, pull_back = jax.vjp(train, params)
    return variables, evaluated, trained, pull_back(jax.tree.map(jnp.ones_like, trained))

  # One platform's operations and settings, so that the digest is the same on each machine.
  key = jax.eval_shape(lambda: jax.random.key(0, impl='threefry2x32'))
  images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  with layers.plain_forms(), jax.default_matmul_precision('float32'):
    return jax.jit(compute).trace(key, images).lower(lowering_platforms=('cpu',)).as_text()
