"""How every command treats the person who typed it."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from cifar_jax import backend
from cifar_jax.errors import DivergedError, InputError

# Exit statuses.
BAD_INPUT = 2
DIVERGED = 1
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
  """An argument parser whose complaints are one line."""

  def error(self, message: str) -> NoReturn:
    """Raises InputError instead of printing the usage and exiting."""
    raise InputError(f'{message} (see {self.prog} --help)')


def run(main: Callable[[], int | None]) -> NoReturn:
  """Runs a command and exits: with what it returns, or with one line on what went wrong."""
  backend.prepare()
  try:
    sys.exit(main())
  except (InputError, DivergedError) as error:
    print(f'cifar_jax: {error}', file=sys.stderr)
    sys.exit(BAD_INPUT if isinstance(error, InputError) else DIVERGED)
  except KeyboardInterrupt:  # before there was anything to save
    print('cifar_jax: interrupted', file=sys.stderr)
    sys.exit(INTERRUPTED)
