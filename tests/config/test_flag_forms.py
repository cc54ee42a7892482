"""The forms in which the command line sets a key of the configuration."""

import pytest

from cifar_jax.config.flag_forms import split
from cifar_jax.errors import InputError


@pytest.mark.parametrize(
  ('words', 'overrides'),
  [
    ('--config.seed=3', ['seed=3']),
    ('--config.seed 3', ['seed=3']),
    ('--config.augment.flip', ['augment.flip=true']),
    ('--noconfig.augment.flip', ['augment.flip=false']),
    ('--config.augment.flip=false', ['augment.flip=false']),
    ('--config.augment.flip --config.seed 3', ['augment.flip=true', 'seed=3']),
    ('--config.schedule.warmup_learning_rate -0.1', ['schedule.warmup_learning_rate=-0.1']),
    ('--config.model.remat', ['model.remat=true']),
    ('--noconfig.model.remat', ['model.remat=false']),
    ('--config.model.base_width 24', ['model.base_width=24']),
    ('--config.data.data_dir a=b', ['data.data_dir=a=b']),
  ],
)
def test_a_key_is_set_in_each_form_of_absl(words: str, overrides: list[str]) -> None:
  expected = [f'--config.{override}' for override in overrides]
  assert split(words.split()) == ([], expected)
  # A flag does not take the next word: an image, or the directory of a run.
  assert split(['a.png', *words.split(), '--tta', 'flip']) == (['a.png', '--tta', 'flip'], expected)


def test_a_flag_does_not_take_a_word_that_follows() -> None:
  assert split(['--config.augment.flip', 'a.png']) == (['a.png'], ['--config.augment.flip=true'])


def test_the_option_config_and_unknown_words_are_left_alone() -> None:
  words = ['--config', 'resnet', '--configtrain=1', '--workdir=x', 'stray']
  assert split(words) == (words, [])


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['--config.seed'], 'give --config.seed=VALUE'),
    (['--config.seed', '--workdir=x'], 'give --config.seed=VALUE'),
    (['--noconfig.seed'], 'seed is not a key that is true or false'),
  ],
)
def test_a_key_without_its_value_is_refused(words: list[str], message: str) -> None:
  with pytest.raises(InputError, match=message):
    split(words)
