"""Cross-entropy against its formula, and the means of metrics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.config.optimization import LossSettings
from cifar_jax.errors import InputError
from cifar_jax.experiment import losses, metrics

LOGITS = jnp.array([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]])
LABELS = jnp.array([0, 2])


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_cross_entropy_with_smoothed_targets(smoothing: float) -> None:
  logits = np.asarray(LOGITS, np.float64)
  log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
  targets = np.eye(3)[np.asarray(LABELS)] * (1 - smoothing) + smoothing / 3
  loss = losses.make(LossSettings(label_smoothing=smoothing))(LOGITS, LABELS)
  np.testing.assert_allclose(loss, -(targets * log_p).sum(axis=1), rtol=1e-6)


def test_the_gradient_does_not_scatter() -> None:
  """On a GPU, deterministic kernels may compute a scatter one image after another."""
  loss = losses.make(LossSettings())
  gradient = jax.make_jaxpr(jax.grad(lambda logits: jnp.sum(loss(logits, LABELS))))(LOGITS)
  assert 'exp' in str(gradient) and 'scatter' not in str(gradient)


def test_smoothing_out_of_range_is_named() -> None:
  with pytest.raises(InputError, match='label_smoothing'):
    losses.make(LossSettings(label_smoothing=1.0))


def test_an_example_without_numbers_is_never_correct() -> None:
  logits = jnp.full((3, 10), jnp.nan).at[2, 1:].set(0.0)
  values = metrics.read(metrics.of_batch(jnp.zeros(3), logits, jnp.array([0, 1, 0])), 10)
  assert values['accuracy'] == values['top5_accuracy'] == 0


def test_means_ignore_examples_outside_the_mask() -> None:
  logits = jnp.eye(7)[jnp.array([0, 1, 2, 3])] * jnp.array([1.0, 1.0, 1.0, -1.0])[:, None]
  labels = jnp.array([0, 2, 2, 3])  # right, wrong, right, ranked last
  values = metrics.of_batch(jnp.array([1.0, 2.0, 4.0, 9.0]), logits, labels)
  assert metrics.read(values, 10) == {'loss': 4.0, 'accuracy': 0.5, 'top5_accuracy': 0.75}
  first = metrics.of_batch(
    jnp.array([1.0, 2.0, 4.0, 9.0]), logits, labels, jnp.array([True, True, False, False])
  )
  assert metrics.read(first, 10) == {'loss': 1.5, 'accuracy': 0.5, 'top5_accuracy': 1.0}
  assert metrics.read(first.merge(values), 10)['loss'] == pytest.approx(19 / 6)
  # Of five classes, each label is among the five most probable.
  assert metrics.read(first, 5) == {'loss': 1.5, 'accuracy': 0.5}
