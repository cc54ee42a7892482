"""Options of JAX on the command line reach JAX."""

import os
from collections.abc import Iterator

import jax
import pytest

from cifar_jax.errors import InputError
from cifar_jax.runtime import jax_options

NAMES = ('jax_debug_nans', 'jax_default_matmul_precision', 'jax_numpy_rank_promotion')


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
  """Sets JAX's options back after a test."""
  before = {name: jax.config.values[name] for name in NAMES}
  for name in NAMES:
    monkeypatch.setenv(name.upper(), '')  # so that it is set back
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_options_in_each_form_reach_jax_and_the_environment_and_are_taken_away() -> None:
  others = jax_options.take([
    *('train', '--jax_debug_nans', '--config', 'resnet', '--jax_default_matmul_precision'),
    *('float32', '--workdir=x', '--jax_numpy_rank_promotion=raise'),
  ])  # fmt: skip
  assert others == ['train', '--config', 'resnet', '--workdir=x']
  assert jax.config.values['jax_debug_nans'] is True
  assert jax.config.values['jax_default_matmul_precision'] == 'float32'
  assert jax.config.values['jax_numpy_rank_promotion'] == 'raise'
  assert os.environ['JAX_DEBUG_NANS'] == 'True'
  assert jax_options.take(['--nojax_debug_nans']) == []
  assert jax.config.values['jax_debug_nans'] is False and os.environ['JAX_DEBUG_NANS'] == 'False'


def test_without_such_options_the_command_line_stays_as_it_is() -> None:
  words = ['--config', 'resnet', '--jaxx=1', 'jax_debug_nans']
  assert jax_options.take(words) == words


@pytest.mark.parametrize(
  ('word', 'words'),
  [
    ('--jax_debug_nan', ['jax_debug_nan', 'Did you mean', 'jax_debug_nans']),
    ('--jax_numpy_rank_promotion=perhaps', ['jax_numpy_rank_promotion', 'raise']),
  ],
)
def test_an_option_that_jax_does_not_have_is_refused_in_one_line(
  word: str, words: list[str]
) -> None:
  with pytest.raises(InputError) as info:
    jax_options.take([word])
  message = str(info.value)
  assert '\n' not in message and all(part in message for part in words), message
