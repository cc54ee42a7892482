"""The forms in which a key of a configuration is set, those of absl and `config_flags`."""

from collections.abc import Sequence

from cifar_jax.config.base import base
from cifar_jax.config.loading import flatten
from cifar_jax.errors import InputError

_SET, _UNSET = '--config.', '--noconfig.'


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
  """Divides a command line.

  The forms are `--config.KEY=VALUE`, `--config.KEY VALUE` and, for a key that is true or false,
  `--config.KEY` and `--noconfig.KEY`. The type of a model's field is not known here: such a key
  takes the next word for its value, unless that is an option.

  Args:
    words: the command line without the program.

  Returns:
    The words that are of another form, and the keys that are set, as `--config.KEY=VALUE`.

  Raises:
    InputError: a key has no value.
  """
  flags = {key for key, value in flatten(base('')).items() if isinstance(value, bool)}
  others, overrides = [], []
  remaining = list(words)
  while remaining:
    word = remaining.pop(0)
    key = word.removeprefix(_UNSET).removeprefix(_SET)
    is_model = key.startswith('model.')
    if word.startswith(_UNSET):
      if key not in flags and not is_model:
        raise InputError(f'{word}: {key} is not a key that is true or false')
      overrides.append(f'{_SET}{key}=false')
    elif not word.startswith(_SET):
      others.append(word)
    elif '=' in word:
      overrides.append(word)
    elif key in flags or (is_model and not _is_value(remaining)):
      overrides.append(f'{word}=true')
    elif _is_value(remaining):
      overrides.append(f'{word}={remaining.pop(0)}')
    else:
      raise InputError(f'{word} has no value; give {word}=VALUE')
  return others, overrides


def _is_value(words: Sequence[str]) -> bool:
  """Whether the next word is a value, not an option; a negative number is a value."""
  return bool(words) and not words[0].startswith('--')
