"""What is said about the compilation of a training step, and about the progress of a run."""

import logging
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.runtime.jax_options import COMPILATION_CACHE
from cifar_jax.training import compilation
from cifar_jax.training.progress import Progress


def params(num_shapes: int) -> dict[str, Any]:
  """Parameters with a number of different kernels, each twice, and a bias for each."""
  return {
    f'layer{i}_{copy}': {'kernel': np.zeros((1, i)), 'bias': np.zeros(i)}
    for i in range(num_shapes)
    for copy in range(2)
  }


def test_the_forecast_grows_with_the_number_of_different_kernels(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(compilation, '_SECONDS', 5.0)
  monkeypatch.setattr(compilation, '_SECONDS_PER_KERNEL', 0.5)
  monkeypatch.delenv(COMPILATION_CACHE, raising=False)
  assert compilation.announcement(params(1)) == 'compiling the training step (about 10 s, once)'
  assert compilation.announcement(params(70)).endswith('(about 40 s, once)')
  assert compilation.announcement(params(230)).endswith('(about 2 minutes, once)')
  monkeypatch.setenv(COMPILATION_CACHE, '/cache')
  assert 'once, unless JAX_COMPILATION_CACHE_DIR has it' in compilation.announcement(params(1))


def test_each_program_is_announced_before_its_first_call_alone(
  caplog: pytest.LogCaptureFixture,
) -> None:
  caplog.set_level(logging.INFO, 'cifar_jax')
  watched = compilation.Compilation()
  ended = []
  for num_steps in (10, 10, 1, 10):
    watched.announce(num_steps, params(1))
    ended.append(watched.has_ended(jnp.ones(1)))
  assert ended == [True, False, True, False]
  lines = [record.getMessage() for record in caplog.records]
  assert [line.split()[0] for line in lines] == ['compiling', 'compiled'] * 2


def test_the_bar_shows_the_epoch_and_the_loss() -> None:
  with Progress(step=0, num_steps=25, images_per_step=8, num_epochs=2.5, has_bar=True) as progress:
    seen = []
    for _ in range(5):
      progress.advance(5)
      seen.append(progress._bar.desc)
    progress.log_record(2.5, {'loss': 1.5, 'accuracy': 0.25, 'learning_rate': 0.1})
    assert seen == [f'epoch {epoch} of 2.5' for epoch in (1, 1, 2, 2, 3)]
    assert progress._bar.postfix == 'loss 1.500, accuracy 25.0 %'
