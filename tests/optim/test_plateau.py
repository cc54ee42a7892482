"""The schedule `plateau` against the rule of PyTorch's ReduceLROnPlateau, written out."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.config.optimization import OptimizerSettings, ScheduleSettings
from cifar_jax.optim import optimizer
from cifar_jax.optim.plateau import is_better
from cifar_jax.optim.schedules import make_schedule

STEPS_PER_EPOCH = 3


def rates(scores: Any, **fields: Any) -> np.ndarray:
  """The rate that the updates of each epoch have, float32 `[epochs, ...]`.

  Args:
    scores: of each epoch, `[epochs]`, or `[epochs, seeds]`: the validation accuracy, or the mean
      training loss where `monitor` says so.
    **fields: of the section `schedule`.
  """
  settings = ScheduleSettings(name='plateau', learning_rate=0.1, factor=0.5, **fields)
  schedule = make_schedule(300, 100.0, settings)
  tx = optimizer.make(schedule, OptimizerSettings(momentum=0.0, weight_decay=0.0))
  params, used = jnp.zeros(2), []
  scores = jnp.asarray(scores, jnp.float32)
  opt_state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, scores[0].shape), tx.init(params))
  assert schedule.end_epoch is not None
  end_epoch = jax.jit(schedule.end_epoch)
  # Losses that differ from step to step, with the given mean.
  update = jax.jit(lambda state, loss: tx.update(jnp.ones_like(loss), state, params, value=loss))
  for score in scores:
    for step in range(STEPS_PER_EPOCH):
      updates, opt_state = update(opt_state, score + step - (STEPS_PER_EPOCH - 1) / 2)
    rate = schedule.learning_rate(0, opt_state)
    np.testing.assert_allclose(updates, -rate, rtol=1e-6)  # what is reported is what was used
    used.append(np.asarray(rate))
    opt_state = end_epoch(opt_state, score)
  return np.array(used)


def rule(scores: Any, patience: int, threshold: float = 1e-4, falls: bool = False) -> list[float]:
  """The rates of PyTorch's rule, mode `max` or (`falls`) `min`, with a relative threshold."""
  rate, bad, result = 0.1, 0, []
  best = float('inf') if falls else -float('inf')
  for score in scores:
    result.append(rate)
    if score < best * (1 - threshold) if falls else score > best * (1 + threshold):
      best, bad = score, 0
    else:
      bad += 1
    if bad > patience:
      rate, bad = rate * 0.5 if rate * 0.5 > 1e-8 else rate, 0
  return result


def test_the_rate_falls_after_more_bad_epochs_than_the_patience() -> None:
  scores = [0.5, 0.6, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4]  # bad from the third on: a tie is no gain
  expected = [0.1] * 5 + [0.05] * 3 + [0.025]  # patience 2: after the third bad epoch in a row
  assert rule(scores, patience=2) == expected
  np.testing.assert_allclose(rates(scores, patience=2), expected, rtol=1e-6)


@pytest.mark.parametrize('patience', [0, 3])
def test_the_rates_of_random_scores_are_those_of_the_rule(patience: int) -> None:
  scores = np.random.RandomState(patience).uniform(0.1, 1.0, (40, 2)).astype(np.float32)
  got = rates(scores, patience=patience)  # each of the two seeds by its own scores
  for seed in (0, 1):
    expected = rule(scores[:, seed], patience)
    assert expected[-1] < 0.02
    np.testing.assert_allclose(got[:, seed], expected, rtol=1e-5)


def test_the_training_loss_is_averaged_over_an_epoch_and_must_fall() -> None:
  losses = np.random.RandomState(0).uniform(1.0, 3.0, 30).astype(np.float32)
  got = rates(losses, patience=2, monitor='training_loss')
  np.testing.assert_allclose(got, rule(losses, 2, falls=True), rtol=1e-5)
  assert got[-1] < 0.02


def test_a_gain_below_the_threshold_is_none() -> None:
  scores = [0.5, 0.52, 0.54, 0.549]  # each at least 1.6 % above the one before
  np.testing.assert_allclose(rates(scores, patience=0, threshold=0.01), 0.1, rtol=1e-6)
  # Each is less than a tenth above 0.5.
  got = rates(scores, patience=0, threshold=0.1)
  np.testing.assert_allclose(got, [0.1, 0.1, 0.05, 0.025], rtol=1e-6)
  assert is_better(0.5001, 0.5, 1e-4) and not is_better(0.50004, 0.5, 1e-4)
  assert is_better(-0.9, -1.0, 0.05) and not is_better(-0.96, -1.0, 0.05)  # negated losses


def test_a_rate_near_zero_no_longer_falls() -> None:
  got = rates([0.5] * 40, patience=0)  # halved after each epoch but the first
  assert got.min() > 1e-8  # the next drop would be of less than that
  assert got[-1] == got[-10] == pytest.approx(0.1 * 0.5**23, rel=1e-5)
  assert rates([0.5] * 6, patience=0, smallest_drop=0.02)[-1] == pytest.approx(0.025)
