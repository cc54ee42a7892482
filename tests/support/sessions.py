"""Sessions of small runs in this process: with steps that diverge, and stopped at a given step.

The sessions of an experiment share its compiled steps. That a step has the same bits when it is
compiled again is tested in `tests/experiment/test_train_step.py` and `tests/training/test_run.py`.
"""

import contextlib
import dataclasses
import pathlib
import signal
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.config.training import CheckpointSettings
from cifar_jax.experiment import randomness
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import abstract_state
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import CHECKPOINTS
from cifar_jax.runtime.signals import StopRequest
from cifar_jax.training import loop, session
from tests.support.trainer import build_small, digest

POISONED = 7  # the step whose images are NaN
NUM_STEPS = 25  # two epochs of 200 images in batches of 16


class Linear(nn.Module):
  """A net that compiles at once."""

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Maps images `[batch, height, width, channels]` to logits `[batch, 10]`."""
    return nn.Dense(10, name='head')(images.reshape(len(images), -1))


def make_poisoned(
  data_dir: pathlib.Path, nonfinite: str, poisoned: Iterable[int] = (POISONED,)
) -> Experiment:
  """An experiment of `NUM_STEPS` steps, some of which have images of NaN.

  Args:
    data_dir: the directory of the small CIFAR-10.
    nonfinite: the key `train.nonfinite`.
    poisoned: the steps whose images are NaN.
  """
  experiment = build_small(
    data_dir, '--config.train.num_epochs=2', '--config.train.log_every_steps=4'
  )

  def augment(key: jax.Array, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    is_poisoned = jnp.bool_(False)
    for step in poisoned:
      is_poisoned |= jnp.all(
        jax.random.key_data(key)
        == jax.random.key_data(randomness.stream(experiment.key, 'augment', step))
      )
    return jnp.where(is_poisoned, jnp.nan, images.astype(jnp.float32)), labels

  return dataclasses.replace(
    experiment,
    model=Linear(),
    augment_fn=augment,
    train_settings=dataclasses.replace(experiment.train_settings, nonfinite=nonfinite),
    checkpoint_settings=CheckpointSettings(every_steps=3, keep_last=3),
  )


class StopAfter(StopRequest):
  """A stop request whose signal comes when the loop has asked for it a number of times."""

  def __init__(self, num_dispatches: int) -> None:
    """Sets the number of dispatches after which the signal comes."""
    self._num_left, self.unsaved, self.agreed_signal = num_dispatches, False, None

  @property
  def received_signal(self) -> signal.Signals | None:  # type: ignore[override]
    """SIGTERM once it has been read for the last of `num_dispatches` times; None before."""
    self._num_left -= 1
    return signal.SIGTERM if self._num_left <= 0 else None


def run_session(experiment: Experiment, run: pathlib.Path) -> dict[str, Any]:
  """Runs a session in the workdir `run`, which is made, to the end; returns the result."""
  result = _run(experiment, run, StopAfter(10**6))
  assert result is not None
  return result


def stop_session(experiment: Experiment, run: pathlib.Path, num_dispatches: int) -> None:
  """Runs a session in the workdir `run`, which is made, and stops it after some dispatches."""
  assert _run(experiment, run, StopAfter(num_dispatches)) is None


def _made_once(make: Callable[..., Any]) -> Callable[..., Any]:
  """A function that makes what `make` makes once for each experiment, or for each mesh."""
  made: dict[tuple[Any, ...], Any] = {}

  def make_once(source: Any, *arguments: Any) -> Any:
    key = (id(source), *arguments)
    if key not in made:
      made[key] = make(source, *arguments), source  # kept, so that no other has its id
    return made[key][0]

  return make_once


_MAKERS: dict[str, Any] = {
  f'make_{name}': _made_once(getattr(loop, f'make_{name}'))
  for name in ('train_step', 'eval_step', 'skip_step', 'reset_means', 'end_epoch')
}


def shared_steps() -> contextlib.AbstractContextManager[Any]:
  """Within this context the sessions of an experiment share its compiled steps."""
  return mock.patch.multiple(loop, **_MAKERS)


def _run(experiment: Experiment, run: pathlib.Path, stop: StopRequest) -> dict[str, Any] | None:
  run.mkdir(exist_ok=True)
  with shared_steps():
    return session.run_session(experiment, run, stop, 'commit')


def last_state(experiment: Experiment, run: pathlib.Path) -> tuple[int, str, list[int]]:
  """The step, the digest and the skipped steps of the latest checkpoint of a run."""
  with Checkpoints(run / CHECKPOINTS, experiment.checkpoint_settings) as checkpoints:
    step = checkpoints.latest
    assert step is not None
    state, run_info = checkpoints.restore(step, abstract_state(experiment))
  return step, digest(state), run_info['skipped']
