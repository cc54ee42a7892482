"""One training step and one evaluation step: pure functions, made once and compiled once."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.sharding import Mesh

from cifar_jax import augment, keys, losses, metrics, optimizer, order, seeds, sharding
from cifar_jax.augment import geometric
from cifar_jax.state import NEVER, State

Normalize = Callable[[jax.Array], jax.Array]
# XLA's CPU compiler drops barriers by this pass before it fuses: what is behind them
# (`models.convolution.kept`, `remat`) would be computed again and again. Other compilers heed them.
KEEP_BARRIERS = {'xla_disable_hlo_passes': 'cse_barrier_expander'}
TrainStep = Callable[[State, jax.Array, jax.Array, jax.Array, order.Order], State]


def make_train_step(
  *,
  model: nn.Module,
  tx: optax.GradientTransformationExtraArgs,
  loss_fn: losses.Loss,
  augment_fn: augment.Augment,
  batch_size: int,
  mesh: Mesh,
  num_steps: int = 1,
  num_seeds: int = 1,
  alternating_flip: bool = False,
) -> TrainStep:
  """The jitted training step, or several in one dispatch.

  Args:
    model: takes float32 images and gives float32 logits. Logits that it sows besides, in the
      collection `auxiliary_logits`, add their loss times its `auxiliary_weight` to what is
      minimised, and nothing to the metrics.
    tx: the optimizer.
    loss_fn: `(logits, labels) -> float32 [batch]`, for soft labels too.
    augment_fn: `(key, images, labels) -> (images, labels)`, from uint8 images to normalised ones.
    batch_size: images of a step, over all devices.
    mesh: the devices that the batch is split over.
    num_steps: how many a call takes, all of which begin in the order's first epoch.
    num_seeds: how many are trained at once; of several, `state`, `key` and `order` have a leading
      axis `[seeds]`.
    alternating_flip: whether images are mirrored in every other epoch before they are augmented.

  Returns:
    `(state, key, images, labels, order) -> state`, where `key` is the root key, `images` (uint8
    `[num_images, height, width, channels]`) and `labels` (int32 `[num_images]`) are the training
    split, replicated, and `order` is that of the epoch in which the steps begin. The state given
    is donated.
  """

  def train_step(
    state: State, key: jax.Array, images: jax.Array, labels: jax.Array, epoch_order: order.Order
  ) -> State:
    indices = order.batch_indices(epoch_order, state.step, batch_size)
    indices = jax.lax.with_sharding_constraint(indices, sharding.batch(mesh))
    batch, augment_key = images[indices], keys.stream(key, 'augment', state.step)
    if alternating_flip:
      epochs = order.batch_epochs(epoch_order, state.step, batch_size)
      batch = geometric.alternating_flip(keys.stream(key, 'flip', 0), batch, indices, epochs)
    batch, targets = augment_fn(augment_key, batch, labels[indices])

    def mean_loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array, Any]]:
      logits, updates = model.apply(
        {'params': params, 'batch_stats': state.batch_stats},
        batch,
        train=True,
        rngs=keys.module_streams(key, state.step),
        mutable=['batch_stats', 'auxiliary_logits'],
      )
      example_losses = loss_fn(logits, targets)
      loss = jnp.mean(example_losses)
      for auxiliary in jax.tree.leaves(updates.get('auxiliary_logits', {})):
        loss += model.auxiliary_weight * jnp.mean(loss_fn(auxiliary, targets))
      return loss, (example_losses, logits, updates)

    (loss, (example_losses, logits, updates)), gradient = jax.value_and_grad(
      mean_loss, has_aux=True
    )(state.params)
    change, opt_state = tx.update(gradient, state.opt_state, state.params, value=loss)
    finite_loss = jnp.isfinite(loss)
    finite = finite_loss & jnp.isfinite(optax.tree.norm(gradient))
    nonfinite = jnp.where(finite, NEVER, 2 * state.step + finite_loss)
    return State(
      step=state.step + 1,
      params=optax.apply_updates(state.params, change),
      batch_stats=updates.get('batch_stats', {}),
      opt_state=opt_state,
      means=state.means.merge(metrics.of_batch(example_losses, logits, targets)),
      first_nonfinite=jnp.minimum(state.first_nonfinite, nonfinite),
    )

  take = seeds.each(train_step, num_seeds, (0, 0, None, None, 0))
  if num_steps > 1:
    take = _repeated(take, num_steps)
  return _jitted(take, mesh)


def _jitted(step: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
  return jax.jit(
    step,
    donate_argnums=0,
    out_shardings=sharding.replicated(mesh),
    compiler_options=compiler_options(mesh.devices.flat[0].platform),
  )


def compiler_options(platform: str) -> dict[str, str] | None:
  """What steps are compiled with on devices of a platform (`cpu`, `gpu`, `tpu`)."""
  return KEEP_BARRIERS if platform == 'cpu' else None


def _repeated(train_step: TrainStep, num_steps: int) -> TrainStep:
  """Takes so many steps, in a loop whose length the compiler knows: GPUs need not ask the host."""

  def train_steps(state: State, *others: Any) -> State:
    return jax.lax.fori_loop(0, num_steps, lambda _, state: train_step(state, *others), state)

  return train_steps


@struct.dataclass
class Evaluation:
  """How far an evaluation has come.

  Attributes:
    index: int32 scalar, the number of batches seen.
    means: of the examples seen.
  """

  index: Any
  means: metrics.Means

  @classmethod
  def empty(cls, mesh: Mesh, shape: tuple[int, ...] = ()) -> 'Evaluation':
    """Before the first batch, replicated like what follows, so that nothing compiles twice.

    Args:
      mesh: the devices.
      shape: `(seeds,)` of a stack.
    """
    nothing = cls(np.int32(0), metrics.Means.empty())
    return sharding.replicate(
      jax.tree.map(lambda leaf: np.broadcast_to(np.asarray(leaf), shape), nothing), mesh
    )


EvalStep = Callable[
  [Evaluation, Any, Any, jax.Array, jax.Array, jax.Array], tuple[Evaluation, jax.Array]
]


def make_eval_step(
  *,
  model: nn.Module,
  loss_fn: losses.Loss,
  normalize: Normalize,
  views_fn: augment.Views,
  batch_size: int,
  mesh: Mesh,
  num_seeds: int = 1,
) -> EvalStep:
  """The jitted evaluation step.

  Args:
    model: as in `make_train_step`.
    loss_fn: `(logits, labels) -> float32 [batch]`.
    normalize: uint8 images to float32 ones.
    views_fn: the views of normalised images whose probabilities are averaged.
    batch_size: images of a step, over all devices.
    mesh: the devices that the batch is split over.
    num_seeds: how many are evaluated at once; of several, all but the split has a leading axis
      `[seeds]`.

  Returns:
    `(evaluation, params, batch_stats, images, labels, size) -> (evaluation, logits)`: counts the
    next batch of a split whose arrays are padded to a multiple of the batch size, and of which the
    first `size` (int32 scalar) examples count; its logits are float32 `[batch, classes]`.
  """

  def eval_step(
    evaluation: Evaluation,
    params: Any,
    batch_stats: Any,
    images: jax.Array,
    labels: jax.Array,
    size: jax.Array,
  ) -> tuple[Evaluation, jax.Array]:
    indices = evaluation.index * batch_size + jnp.arange(batch_size)
    indices = jax.lax.with_sharding_constraint(indices, sharding.batch(mesh))
    batch, targets = normalize(images[indices]), labels[indices]
    variables = {'params': params, 'batch_stats': batch_stats}
    logits = _logits(model, variables, views_fn(batch), views_fn.weights)
    means = metrics.of_batch(loss_fn(logits, targets), logits, targets, indices < size)
    return Evaluation(evaluation.index + 1, evaluation.means.merge(means)), logits

  return _jitted(seeds.each(eval_step, num_seeds, (0, 0, 0, None, None, None)), mesh)


def _logits(
  model: nn.Module, variables: Any, images: jax.Array, weights: tuple[float, ...]
) -> jax.Array:
  """The logits of a batch, float32 `[batch, classes]`, from its views.

  Args:
    model: takes float32 images and gives float32 logits.
    variables: of the model.
    images: float32 `[views, batch, height, width, channels]`. Of several views the logits are the
      logarithm of the mean of their probabilities.
    weights: of the views in that mean.
  """

  def apply(view: jax.Array) -> Any:
    return model.apply(variables, view, train=False)

  if len(images) == 1:
    return apply(images[0])
  logits = jax.vmap(apply)(images)
  log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
  log_weights = jnp.log(jnp.array(weights, jnp.float32))
  return jax.nn.logsumexp(log_probabilities + log_weights[:, None, None], axis=0)


def make_reset_means(mesh: Mesh) -> Callable[[State], State]:
  """The jitted function that empties the means of a state, which is donated, after a record."""

  def reset(state: Any) -> State:
    empty = jax.tree.map(
      lambda new, old: jnp.broadcast_to(new, old.shape), metrics.Means.empty(), state.means
    )
    return state.replace(means=empty)

  return jax.jit(reset, donate_argnums=0, out_shardings=sharding.replicated(mesh))


def make_skip_step(mesh: Mesh) -> Callable[[State], State]:
  """The jitted step that only counts: the schedule goes on, nothing is learnt from the batch."""
  skip = lambda state: state.replace(  # noqa: E731
    step=state.step + 1, opt_state=optimizer.skip(state.opt_state)
  )
  return jax.jit(skip, donate_argnums=0, out_shardings=sharding.replicated(mesh))
