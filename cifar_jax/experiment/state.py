"""The state of a run between two steps: arrays, and nothing else.

State and configuration together determine everything that follows. No random key is part of it: see
`randomness.py`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from cifar_jax.config.optimization import OptimizerSettings
from cifar_jax.convert import initial_weights
from cifar_jax.experiment import metrics, randomness
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.seeds import map_over_seeds
from cifar_jax.models.classifier import FittedToData
from cifar_jax.optim import ema, lookahead
from cifar_jax.runtime.devices import replicate, replicated_sharding

NEVER = jnp.iinfo(jnp.int32).max


@struct.dataclass
class State:
  """The state after `step` steps, replicated over the mesh. For several seeds see `seeds.py`.

  Attributes:
    step: int32 scalar, the number of steps taken.
    params: float32 tree of the model's parameters.
    batch_stats: float32 tree of the running means and variances.
    opt_state: the optimizer's tree.
    means: means over the training examples since the last record, so that a resumed run writes the
      same record.
    first_nonfinite: int32 scalar for the first bad step s: `2 * s` if its loss was not finite,
      `2 * s + 1` if only its gradient was not; `NEVER` if there is none.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  means: metrics.Means
  first_nonfinite: jax.Array

  @property
  def num_steps(self) -> int:
    """`step` on the host; it is the same for all seeds."""
    return int(np.ravel(self.step)[0])

  @property
  def to_evaluate(self) -> 'State':
    """The state whose parameters and statistics are evaluated: this one."""
    return self


@struct.dataclass
class AveragedState(State):
  """The state of a run that keeps an average of its weights.

  Attributes:
    average_params: float32 tree like `params`.
    average_stats: float32 tree like `batch_stats`.
  """

  average_params: Any
  average_stats: Any


@struct.dataclass
class LookaheadState(AveragedState):
  """The state of a run whose weights are set to their average (`optimizer.lookahead_steps`)."""


@struct.dataclass
class EmaState(AveragedState):
  """The state of a run whose average is evaluated (`optimizer.ema_decay`)."""

  @property
  def to_evaluate(self) -> State:
    """The same state with the averages in the place of what they are averages of."""
    return State(
      **_fields(self) | {'params': self.average_params, 'batch_stats': self.average_stats}
    )


def _fields(state: State) -> dict[str, Any]:
  """The attributes that every state has."""
  return {field.name: getattr(state, field.name) for field in dataclasses.fields(State)}


def start_average(state: State, settings: OptimizerSettings) -> State:
  """A state whose averages, if the settings ask for any, begin at its weights and statistics."""
  if not (settings.lookahead_steps or settings.ema_decay):
    return state
  make = LookaheadState if settings.lookahead_steps else EmaState
  params, stats = jax.tree.map(jnp.copy, (state.params, state.batch_stats))
  return make(**_fields(state), average_params=params, average_stats=stats)


def update_average(state: State, settings: OptimizerSettings, num_steps: int) -> State:
  """The state with its last step in its averages; a state without averages as it is.

  Args:
    state: the state after a step.
    settings: the section `optimizer`.
    num_steps: number of steps of the run.
  """
  if not isinstance(state, AveragedState):
    return state
  weights, average = (state.params, state.batch_stats), (state.average_params, state.average_stats)
  if isinstance(state, LookaheadState):
    average, weights = lookahead.update(
      average,
      weights,
      state.step,
      every=settings.lookahead_steps,
      decay=settings.lookahead_decay,
      num_steps=num_steps,
    )
  else:
    average = ema.update(average, weights, settings.ema_decay, state.step)
  return dataclasses.replace(
    state,
    params=weights[0],
    batch_stats=weights[1],
    average_params=average[0],
    average_stats=average[1],
  )


def create_state(
  model: nn.Module,
  tx: optax.GradientTransformation,
  key: jax.Array,
  image_shape: tuple[int, ...],
  given: Mapping[str, Any] | None = None,
) -> State:
  """The state before the first step.

  Args:
    model: the Flax module, for images float32 `[batch, *image_shape]`.
    tx: the optimizer.
    key: the root key, a scalar.
    image_shape: height, width, channels.
    given: variables to begin with; what is not among them is drawn at random.
  """
  images = jnp.zeros((1, *image_shape), jnp.float32)
  variables = _replace(model.init(randomness.stream(key, 'init', 0), images, train=False), given)
  params = variables['params']
  return State(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=variables.get('batch_stats', {}),
    opt_state=tx.init(params),
    means=metrics.Means.empty(),
    first_nonfinite=jnp.full((), NEVER, jnp.int32),
  )


def _replace(tree: Any, given: Mapping[str, Any] | None) -> Any:
  """A tree of dictionaries, with those leaves replaced that another tree has at the same path."""
  if not given:
    return tree
  return {
    name: _replace(value, given.get(name)) if isinstance(value, Mapping) else given.get(name, value)
    for name, value in tree.items()
  }


def initial_state(experiment: Experiment) -> State:
  """The state before the first step, as `make_initial_state` makes it from the experiment's key.

  Raises:
    InputError: the weights to begin with cannot be read or do not fit.
  """
  return make_initial_state(experiment)(experiment.key)


def make_initial_state(experiment: Experiment) -> Callable[[jax.Array], State]:
  """Makes the function that draws states before the first step, and compiles once for all of them.

  A state begins with the weights that the section `init` names, if any. Otherwise the batch
  statistics of a model that is `FittedToData` are fitted to training images.

  Args:
    experiment: what is trained; its key is not used.

  Returns:
    `(key) -> state`, replicated over the mesh; the key is a scalar, or `[seeds]` for several seeds.

  Raises:
    InputError: the weights to begin with cannot be read or do not fit.
  """
  mesh, settings, model = experiment.mesh, experiment.init_settings, experiment.model
  draw = jax.jit(_make_initial(experiment), out_shardings=replicated_sharding(mesh))
  if settings.source:
    weights = initial_weights.read(settings, model, experiment.image_shape[0])
    given = replicate(weights, mesh)
    return lambda key: draw(key, given)
  if not isinstance(model, FittedToData):
    return lambda key: draw(key, {})
  images = replicate(experiment.dataset.train.images[: model.fit_images], mesh)
  fit = make_fit(experiment)

  def draw_and_fit(key: jax.Array) -> State:
    state = draw(key, {})
    state = state.replace(batch_stats=fit(state.batch_stats, images))
    return start_average(state, experiment.optimizer_settings)

  return draw_and_fit


def abstract_state(experiment: Experiment) -> State:
  """The shapes, dtypes and shardings of `initial_state`, to restore a checkpoint into."""
  sharding = replicated_sharding(experiment.mesh)
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
    jax.eval_shape(_make_initial(experiment), experiment.key, {}),
  )


def make_fit(experiment: Experiment) -> Callable[[Any, jax.Array], Any]:
  """The jitted `fit` of a model that is `FittedToData`.

  Returns:
    `(batch_stats, images) -> batch_stats`, for uint8 images `[batch, height, width, channels]`.
  """
  model: Any = experiment.model
  fit = lambda stats, images: model.fit(stats, experiment.normalize(images))  # noqa: E731
  return jax.jit(fit, out_shardings=replicated_sharding(experiment.mesh))


def _make_initial(experiment: Experiment) -> Callable[[jax.Array, Any], State]:
  def make(key: jax.Array, given: Any) -> State:
    state = create_state(experiment.model, experiment.tx, key, experiment.image_shape, given)
    return start_average(state, experiment.optimizer_settings)

  return map_over_seeds(make, experiment.num_seeds, (0, None))
