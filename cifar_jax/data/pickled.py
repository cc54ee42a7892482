"""Reads pickled dictionaries of numbers, strings, lists and NumPy arrays, and nothing else.

Nothing in a pickle is run: `pickle_machine.py` says how.
"""

from typing import Any

from cifar_jax.data.pickled_arrays import GLOBALS, Global, PickledArray, PickledDtype, result, text
from cifar_jax.errors import InputError
from cifar_jax.pickle_budget import Budget
from cifar_jax.pickle_machine import Machine

_OBJECT_BYTES = 64  # of a number or a short string of Python


class _Arrays:
  """The vocabulary of files that hold arrays of NumPy; `pickled_arrays.py` has its meaning."""

  def __init__(self, name: str) -> None:
    self._name = name

  def look_up(self, module: str, name: str) -> Global:
    """Returns what stands for a name; raises InputError for a name of no array."""
    if (module, name) not in GLOBALS:
      path = f'{module}.{name}'[:80]
      raise InputError(
        f'{self._name} refers to {path!a}, which no CIFAR file does: it was not loaded'
      )
    return GLOBALS[module, name]

  def call(self, function: Any, arguments: tuple[Any, ...]) -> PickledDtype | PickledArray | bytes:
    """Returns what stands for the result of a call."""
    return result(function, arguments)

  def set_state(self, value: Any, state: Any) -> None:
    """Gives its state to a dtype or an array."""
    if not isinstance(value, PickledDtype | PickledArray):
      raise ValueError('a state of something else than an array')
    value.set_state(state)


def unpickle(name: str, content: bytes) -> dict[str, Any]:
  """Reads a pickled dictionary, of any protocol, as Python 2 or 3 wrote it.

  Args:
    name: the file's name, for messages.
    content: the file's content.

  Returns:
    The dictionary, with its keys as text. Python 2's strings are bytes. A value that is an array of
    numbers has a plain dtype and is read-only. An array of strings and a tuple are lists, and
    single numbers and strings of NumPy are those of Python.

  Raises:
    InputError: the file is damaged, is no such dictionary, or refers to anything but NumPy arrays.
  """
  try:
    machine = Machine(content, _Arrays(name))
    batch = machine.run()
    if not isinstance(batch, dict):
      raise InputError(f'{name} holds a {type(batch).__name__}, not a dictionary; fetch it again')
    made: dict[int, Any] = {}
    return {text(key): _made(value, made, machine.budget) for key, value in batch.items()}
  except InputError:
    raise
  except Exception as error:  # a damaged pickle can raise anything
    raise InputError(f'{name} is damaged ({type(error).__name__}); fetch it again') from error


def _made(value: Any, made: dict[int, Any], budget: Budget) -> Any:
  """Returns a value with the arrays that it is, or has in it, made.

  Args:
    value: a value of the dictionary. What is deeper than in a list stays as it is.
    made: the results by the identity of the value. A file can name one value a million times.
    budget: of the file, which pays for the arrays.
  """
  if id(value) not in made:
    result = value
    if isinstance(value, PickledArray):
      budget.charge(len(value.content))
      result = value.make()
      if not result.ndim or result.dtype.kind not in 'biuf':
        budget.charge(_OBJECT_BYTES * result.size)
        result = result.tolist()
    elif isinstance(value, list | tuple):
      result = [
        _made(item, made, budget) if isinstance(item, PickledArray) else item for item in value
      ]
    made[id(value)] = result
  return made[id(value)]
