"""The exceptions that a command answers with one line; any other keeps its traceback, as a bug."""

import errno
import resource


class InputError(ValueError):
  """A value, file or directory that the caller gave and can mend; the text says how.

  Commands exit with status 2.
  """


class DivergedError(ArithmeticError):
  """The loss or the gradient of a step was infinite or not a number.

  Commands exit with status 1.

  Attributes:
    step: the first such step.
    metric: `loss` or `gradient`.
    what: which metric of which step, and of which seed where there are several.
  """

  def __init__(self, step: int, metric: str, remedy: str, seed: int | None = None) -> None:
    """The text names them all."""
    self.step, self.metric = step, metric
    self.what = f'the {metric} of step {step}' + ('' if seed is None else f' of seed {seed}')
    super().__init__(f'{self.what} is not finite; {remedy}')


class ShortageError(RuntimeError):
  """The machine ran short of memory, disk or file handles; the text says of what.

  Commands exit with status 3: what was saved is intact, and the same command goes on from there.
  """


class LostError(RuntimeError):
  """Another process of this run was lost, and nothing can be computed without it.

  Commands exit with status 4, at once: the same command, in all processes, goes on from the last
  checkpoint.
  """


_NO_SPACE = 'the disk is full: make room'
_NO_MEMORY = 'out of memory'
_NO_HANDLES = 'too few file handles: raise ulimit -n above {}'
_BY_NUMBER = {
  errno.ENOSPC: _NO_SPACE,
  errno.EDQUOT: 'the quota of the disk is used up: make room',
  errno.EFBIG: 'a file may not grow so large: raise ulimit -f',
  errno.EROFS: 'the disk is read-only: make it writable',
  errno.EACCES: 'permission denied: make it writable',
  errno.EIO: 'the disk fails: look at it',
  errno.EMFILE: _NO_HANDLES,
  errno.ENFILE: _NO_HANDLES,
  errno.ENOMEM: _NO_MEMORY,
}
# Of TensorStore and XLA, whose errors are known by their text alone.
_BY_TEXT = {
  'No space left on device': _NO_SPACE,
  'Error writing': _NO_SPACE,
  'File too large': _BY_NUMBER[errno.EFBIG],
  'Read-only file system': _BY_NUMBER[errno.EROFS],
  'Too many open files': _NO_HANDLES,
  'RESOURCE_EXHAUSTED': _NO_MEMORY,
  'Out of memory': _NO_MEMORY,
}


def shortage(error: BaseException | None) -> str:
  """What the machine ran short of, by an exception and those behind it; '' if of nothing."""
  told = ''
  while error is not None and not told:
    if isinstance(error, MemoryError):
      told = _NO_MEMORY
    elif isinstance(error, OSError):
      told = _BY_NUMBER.get(error.errno or 0, '')
      if told and error.filename:
        told = f'{error.filename}: {told}'
    else:
      told = next((told for text, told in _BY_TEXT.items() if text in str(error)), '')
    error = error.__cause__ or error.__context__
  return told.format(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def is_out_of_memory(error: BaseException) -> bool:
  """Whether what ran short is memory, of the host or of a device."""
  return shortage(error).endswith(_NO_MEMORY)
