"""Errors of the functions in `run.py`: their messages are written for the commands."""

import contextlib
import re
from collections.abc import Iterator

from cifar_jax.errors import DivergedError, InputError, ShortageError

_SEE_HELP = re.compile(r' \(see python -m [^)]*\)')
_OPTION = re.compile(r'--(?:config\.)?([a-z][a-z-]*)')


@contextlib.contextmanager
def in_words_of_python() -> Iterator[None]:
  """Within a block or a decorated function, messages of errors name arguments, not options."""
  try:
    yield
  except (InputError, DivergedError, ShortageError) as error:
    error.args = (in_python(str(error)),)
    raise


def in_python(message: str) -> str:
  """A message with `data.data_dir=DIR` for `--config.data.data_dir=DIR`, `workdir` for `--workdir`.

  A message that holds a whole command stays as it is.
  """
  message = _SEE_HELP.sub('', message)
  if 'python -m ' in message or 'cifar-jax ' in message:
    return message
  message = _OPTION.sub(lambda found: found[1].replace('-', '_'), message)
  return message.replace('the same command', 'the same call')
