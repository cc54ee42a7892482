"""How every command treats the person who typed it."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from cifar_jax import backend
from cifar_jax.errors import DivergedError, InputError, LostError, ShortageError, shortage

# Exit statuses.
BAD_INPUT = 2
DIVERGED = 1
SHORTAGE = 3
LOST = 4
INTERRUPTED = 130
UNREAD = 141  # as a shell says of SIGPIPE


class Parser(argparse.ArgumentParser):
  """An argument parser whose complaints are one line."""

  def error(self, message: str) -> NoReturn:
    """Raises InputError instead of printing the usage and exiting."""
    raise InputError(f'{message} (see {self.prog} --help)')


def run(main: Callable[[], int | None]) -> NoReturn:
  """Runs a command and exits: with what it returns, or with one line on what went wrong."""
  backend.prepare()
  try:
    status = main()
    sys.stdout.flush()  # here, where it is known what to do if nobody reads it
    sys.exit(status)
  except InputError as error:
    _leave(error, BAD_INPUT)
  except DivergedError as error:
    _leave(error, DIVERGED)
  except ShortageError as error:
    _leave(error, SHORTAGE)
  except LostError as error:
    print(f'cifar_jax: {error}', file=sys.stderr, flush=True)
    os._exit(LOST)  # Python's own way out waits for the lost
  except KeyboardInterrupt:  # before there was anything to save
    _leave('interrupted', INTERRUPTED)
  except BrokenPipeError:  # whoever read what is printed, such as `head`, has enough
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(UNREAD)
  except Exception as error:
    if not shortage(error):
      raise
    _leave(f'{shortage(error)}, then run the same command again', SHORTAGE)


def _leave(told: object, status: int) -> NoReturn:
  print(f'cifar_jax: {told}', file=sys.stderr)
  sys.exit(status)
