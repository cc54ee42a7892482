"""What all commands share: the argument parser, the exit statuses and errors in one line."""

import argparse
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from cifar_jax.config.section import shortened
from cifar_jax.errors import (
  DivergedError,
  InputError,
  LostError,
  ShortageError,
  is_out_of_memory,
  shortage,
)
from cifar_jax.runtime import xla_flags
from cifar_jax.runtime.signals import ending_at_interrupt

# Exit statuses.
BAD_INPUT = 2
DIVERGED = 1
SHORTAGE = 3
LOST = 4
FAULT = 70  # of this program: an exception that no line explains; EX_SOFTWARE of sysexits.h
INTERRUPTED = 130
OUTPUT_CLOSED = 141  # a shell's status for SIGPIPE


class Parser(argparse.ArgumentParser):
  """An argument parser that reports a wrong command line in one line."""

  def error(self, message: str) -> NoReturn:
    """Raises InputError instead of printing the usage and exiting."""
    raise InputError(f'{message} (see {self.prog} --help)')


def positive(text: str) -> int:
  """Parses an integer of at least 1, as the `type` of an argument.

  Raises:
    ArgumentTypeError: the integer is smaller; the parser reports the message.
    ValueError: the text is no integer; the parser reports the text.
  """
  number = int(text)
  if number < 1:
    raise argparse.ArgumentTypeError(f'{text} is not at least 1')
  return number


def run(main: Callable[[], int | None]) -> NoReturn:
  """Runs a command and exits with the status it returns, or after one line on what went wrong.

  Args:
    main: the command; returns its exit status, where None means 0.
  """
  if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == 'strict':
    # No result is lost because the terminal's encoding lacks a letter.
    sys.stdout.reconfigure(errors='backslashreplace')
  try:
    with ending_at_interrupt() as interrupted:
      xla_flags.prepare()
      status = main()
      sys.stdout.flush()  # here, because only here a closed pipe is caught
    sys.exit(status)
  except InputError as error:
    _exit_with(error, BAD_INPUT)
  except DivergedError as error:
    _exit_with(error, DIVERGED)
  except ShortageError as error:
    _exit_with(error, SHORTAGE)
  except LostError as error:
    print(f'cifar_jax: {error}', file=sys.stderr, flush=True)
    os._exit(LOST)  # a normal exit would wait for the process that died
  except KeyboardInterrupt:  # before the run had anything to save
    _exit_with('interrupted', INTERRUPTED)
  except BrokenPipeError:  # the reader of standard output, such as `head`, has closed it
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(OUTPUT_CLOSED)
  except Exception as error:
    if interrupted.is_set():
      _exit_with('interrupted', INTERRUPTED)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
      _exit_with(f'{shortened(str(error.filename))}: the name is too long', BAD_INPUT)
    if is_out_of_memory(error):
      remedy = 'end other programs, or take fewer or smaller images'
      _exit_with(f'{shortage(error)}: {remedy}', SHORTAGE)
    if shortage(error):
      _exit_with(f'{shortage(error)}, then run the same command again', SHORTAGE)
    platforms = os.environ.get('JAX_PLATFORMS')
    if platforms and 'jax' in sys.modules:  # only then: JAX must not be started by a fault
      from cifar_jax.runtime.devices import why_none

      if reason := why_none():
        _exit_with(
          f'JAX finds no device (JAX_PLATFORMS is {platforms!r}: {reason}); unset the variable, or '
          'install what the platform needs',
          BAD_INPUT,
        )
    traceback.print_exc()
    sys.exit(FAULT)


def _exit_with(message: object, status: int) -> NoReturn:
  print(f'cifar_jax: {message}', file=sys.stderr)
  sys.exit(status)
