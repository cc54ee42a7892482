"""Options of JAX on the command line, such as `--jax_platforms=cpu` and `--jax_debug_nans`."""

import os
from collections.abc import Sequence

from cifar_jax.errors import InputError

COMPILATION_CACHE = 'JAX_COMPILATION_CACHE_DIR'  # the variable; it changes no result
_BEGINNINGS = ('--jax_', '--nojax_')


def take(words: Sequence[str]) -> list[str]:
  """Gives JAX its options, in the forms of absl; call it before JAX starts a device.

  The options are also left in the environment, as JAX reads it, for processes started by this one
  and for the record of how a result was made.

  Args:
    words: the command line without the program.

  Returns:
    The other words.

  Raises:
    InputError: JAX has no such option, or it cannot have such a value.
  """
  if not any(word.startswith(_BEGINNINGS) for word in words):
    return list(words)
  import jax
  from absl import flags

  if not jax.config.use_absl:
    jax.config.config_with_absl()
  others: list[str] = []
  chosen: list[str] = []
  remaining = list(words)
  while remaining:
    word = remaining.pop(0)
    if not word.startswith(_BEGINNINGS):
      others.append(word)
      continue
    name, equals, _ = word.removeprefix('--').partition('=')
    if not equals and name in flags.FLAGS and not flags.FLAGS[name].boolean and remaining:
      word = f'{word}={remaining.pop(0)}'
    chosen.append(word)
  try:
    flags.FLAGS(['cifar_jax', *chosen])
  except flags.Error as error:
    raise InputError(' '.join(str(error).split())) from error
  for word in chosen:
    name = word.removeprefix('--').partition('=')[0]
    name = name if name in flags.FLAGS else name.removeprefix('no')
    jax.config.update(name, flags.FLAGS[name].value)
    os.environ[name.upper()] = str(flags.FLAGS[name].value)
  return others
