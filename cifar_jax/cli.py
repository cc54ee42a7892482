"""What all commands share: the argument parser, the exit statuses and errors in one line."""

import argparse
import errno
import importlib
import inspect
import io
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from cifar_jax import own_code, paths
from cifar_jax.config import flag_forms
from cifar_jax.config.command_line import nearest
from cifar_jax.config.section import LARGEST_INT, shortened
from cifar_jax.errors import (
  DivergedError,
  InputError,
  LostError,
  ShortageError,
  is_out_of_memory,
  shortage,
)
from cifar_jax.printable import printable
from cifar_jax.runtime import console, jax_options, xla_flags
from cifar_jax.runtime.signals import ending_at_interrupt

# Exit statuses.
BAD_INPUT = 2
DIVERGED = 1
SHORTAGE = 3
LOST = 4
FAULT = 70  # of this program: an exception that no line explains; EX_SOFTWARE of sysexits.h
INTERRUPTED = 130
OUTPUT_CLOSED = 141  # a shell's status for SIGPIPE


PROGRAM = 'cifar-jax'
_HELP = ('-h', '--help', '--helpfull', '--helpshort')  # the last two are absl's


class Parser(argparse.ArgumentParser):
  """An argument parser that reports a wrong command line in one line."""

  def __init__(
    self, prog: str, description: str | None = None, more_help: Callable[[], str] = str
  ) -> None:
    """Makes a parser whose only option is `--help`.

    Args:
      prog: the command, as `python -m cifar_jax.NAME`. `--help` names the command by which it was
        started, `cifar-jax NAME` or this.
      description: the beginning of the help, in lines; for example a docstring.
      more_help: returns the end of the help.
    """
    started_as = sys.argv[0] if sys.argv[0].startswith(f'{PROGRAM} ') else prog
    super().__init__(
      prog=started_as,
      description=inspect.cleandoc(description or ''),
      formatter_class=argparse.RawDescriptionHelpFormatter,
      add_help=False,
    )
    self._more_help = more_help
    self.add_argument(*_HELP, action='help', help='show this text and exit')

  def error(self, message: str) -> NoReturn:
    """Raises InputError instead of printing the usage and exiting."""
    raise InputError(f'{message} (see {self.prog} --help)')

  def format_help(self) -> str:
    """The text of `--help`."""
    return f'{super().format_help()}\n{self._more_help()}'.rstrip() + '\n'

  def parse_with_overrides(self) -> tuple[argparse.Namespace, list[str]]:
    """Parses the command line, in which keys of the configuration may be set.

    Returns:
      The arguments, and the keys that are set, as `--config.KEY=VALUE`.

    Raises:
      InputError: an argument is wrong or unknown.
    """
    words, overrides = flag_forms.split(sys.argv[1:])
    return self.parse_args(words), overrides


def path(text: str) -> pathlib.Path:
  """Makes a path of an argument, as its `type`: `~` is expanded.

  Raises:
    ArgumentTypeError: the text is a URL; the parser reports the message.
  """
  try:
    return paths.local(text)
  except InputError as error:
    raise argparse.ArgumentTypeError(str(error)) from error


def integer(at_least: int, at_most: int) -> Callable[[str], int]:
  """Makes the `type` of an argument that is an integer within limits.

  The function raises ArgumentTypeError for any other text; the parser reports the message.
  """

  def parse(text: str) -> int:
    try:
      number = int(text)
    except ValueError:
      number = None
    if number is None or not at_least <= number <= at_most:
      raise argparse.ArgumentTypeError(
        f'{shortened(text)} is not an integer of at least {at_least} and at most {at_most}'
      )
    return number

  return parse


positive = integer(1, LARGEST_INT)
seed = integer(0, 2**32 - 1)


def dispatch(prog: str, description: str, commands: Mapping[str, tuple[str, str]]) -> int | None:
  """Runs the command that the first word of the command line names; without one, lists them all.

  Args:
    prog: what stands before the command's name, such as `cifar-jax`.
    description: what the commands do.
    commands: for each name the module, which has the function `main`, and a line on what it does.

  Returns:
    The exit status of the command.

  Raises:
    InputError: there is no such command.
  """
  name, *words = sys.argv[1:] or ['--help']
  if name in _HELP:
    width = max(map(len, commands))
    lines = [f'  {name:{width}}  {line}' for name, (_, line) in commands.items()]
    print('\n'.join((
      f'usage: {prog} COMMAND ...', '', inspect.cleandoc(description), '', *lines, '',
      f'{prog} COMMAND --help shows the options of a command.',
    )))  # fmt: skip
    return 0
  if name not in commands:
    raise InputError(
      f'no command {name!r}{nearest(name, commands)}; there are {", ".join(commands)}'
    )
  module: Any = importlib.import_module(commands[name][0])
  sys.argv = [f'{prog} {name}', *words]
  return module.main()


def run(main: Callable[[], int | None]) -> NoReturn:
  """Runs a command and exits with the status it returns, or after one line on what went wrong.

  Args:
    main: the command; returns its exit status, where None means 0.
  """
  _open_closed_streams()
  if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == 'strict':
    # No result is lost because the terminal's encoding lacks a letter.
    sys.stdout.reconfigure(errors='backslashreplace')
  console.to_console()
  try:
    with ending_at_interrupt() as interrupted:
      _check_current_directory()
      sys.argv[1:] = jax_options.take(sys.argv[1:])
      xla_flags.refuse_other_dtypes()
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
    print(f'cifar_jax: {printable(str(error))}', file=sys.stderr, flush=True)
    os._exit(LOST)  # a normal exit would wait for the process that died
  except KeyboardInterrupt:  # before the run had anything to save
    _exit_with('interrupted', INTERRUPTED)
  except BrokenPipeError:  # the reader of standard output, such as `head`, has closed it
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(OUTPUT_CLOSED)
  except Exception as error:
    if interrupted.is_set():
      _exit_with('interrupted', INTERRUPTED)
    _exit_for(error)


def _exit_for(error: Exception) -> NoReturn:
  """Exits as fits an exception that has no class of this program; a bug keeps its traceback."""
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
  if own := own_code.last_frame(error):
    reason = ' '.join(str(error).split())
    _exit_with(
      f'{own.filename}, line {own.lineno}, in {own.name}: {type(error).__name__}: {reason}',
      BAD_INPUT,
    )
  traceback.print_exception(error)
  sys.exit(FAULT)


def _check_current_directory() -> None:
  """Raises InputError if the current directory was removed, in which no path means anything."""
  try:
    os.getcwd()
  except FileNotFoundError as error:
    raise InputError('the current directory was removed: change to another one') from error


def _open_closed_streams() -> None:
  """Opens those of the three standard streams that were closed at the start, on the null device.

  Otherwise the next files take their numbers, and what libraries print is written into them: into
  the records of a run, for one.
  """
  for number, (name, mode) in enumerate((('stdin', 'r'), ('stdout', 'w'), ('stderr', 'w'))):
    if getattr(sys, name) is None and os.open(os.devnull, os.O_RDWR) == number:
      setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _exit_with(message: object, status: int) -> NoReturn:
  print(f'cifar_jax: {printable(str(message))}', file=sys.stderr)
  sys.exit(status)
