"""The exceptions that a command reports in one line. Each class has its own exit status.

Any other exception is a bug and keeps its traceback.
"""

import errno
import resource


class InputError(ValueError):
  """A value, file or directory that the user gave and can correct; the message says how.

  Commands exit with status 2.
  """


class DivergedError(ArithmeticError):
  """A loss, a gradient or an update of the weights was infinite or no number.

  Commands exit with status 1.

  Attributes:
    step: the first such step, from 0; of an evaluation the last one before it.
    metric: `loss`, `gradient`, `update`, `validation loss` or `test loss`.
    subject: the metric, the step and, in a run of several seeds, the seed, as the beginning of a
      sentence.
  """

  def __init__(self, step: int, metric: str, remedy: str, seed: int | None = None) -> None:
    """Composes the message.

    Args:
      step: as in the attributes.
      metric: as in the attributes.
      remedy: what the user can do, the end of the message.
      seed: the seed that diverged; None in a run of one seed.
    """
    self.step, self.metric = step, metric
    self.subject = f'the {metric} of step {step}' + ('' if seed is None else f' of seed {seed}')
    super().__init__(f'{self.subject} is not finite; {remedy}')


class ShortageError(RuntimeError):
  """The machine ran out of memory, disk space or file handles; the message says which.

  Commands exit with status 3. Everything saved is intact, and the same command resumes the run.
  """


class LostError(RuntimeError):
  """Another process of this run died, and nothing can be computed without it.

  Commands exit with status 4, at once. The same command, started again in all processes, resumes
  from the last checkpoint.
  """


_NO_SPACE = 'the disk is full: make room'
_NO_MEMORY = 'out of memory'
_NO_HANDLES = 'too few file handles: raise ulimit -n above {}'
_MESSAGES_BY_ERRNO = {
  errno.ENOSPC: _NO_SPACE,
  errno.EDQUOT: 'the quota of the disk is used up: make room',
  errno.EFBIG: 'a file may not grow so large: raise ulimit -f',
  errno.EROFS: 'the disk is read-only: make it writable',
  errno.EACCES: 'permission denied: make it writable',
  errno.EIO: 'the disk reports an input/output error: check it',
  errno.EMFILE: _NO_HANDLES,
  errno.ENFILE: _NO_HANDLES,
  errno.ENOMEM: _NO_MEMORY,
}
# TensorStore and XLA raise errors without an errno; only their text says what happened.
_MESSAGES_BY_TEXT = {
  'No space left on device': _NO_SPACE,
  'Error writing': _NO_SPACE,
  'File too large': _MESSAGES_BY_ERRNO[errno.EFBIG],
  'Read-only file system': _MESSAGES_BY_ERRNO[errno.EROFS],
  'Too many open files': _NO_HANDLES,
  'RESOURCE_EXHAUSTED': _NO_MEMORY,
  'Out of memory': _NO_MEMORY,
}


def shortage(error: BaseException | None) -> str:
  """A message on what the machine ran out of, from an exception and its causes; '' if nothing."""
  message = ''
  while error is not None and not message:
    if isinstance(error, MemoryError):
      message = _NO_MEMORY
    elif isinstance(error, OSError):
      message = _filled_in(_MESSAGES_BY_ERRNO.get(error.errno or 0, ''))
      if message and error.filename:
        message = f'{error.filename}: {message}'
    else:
      text = str(error)
      words = (words for part, words in _MESSAGES_BY_TEXT.items() if part in text)
      message = _filled_in(next(words, ''))
    error = error.__cause__ or error.__context__
  return message


def cannot_write(place: object, error: OSError, remedy: str = '') -> InputError | ShortageError:
  """The exception to raise for a file or folder that cannot be written.

  Args:
    place: the path of the file, or the words `in FOLDER`.
    error: what the system said.
    remedy: the end of the message, unless the machine ran out of something.

  Returns:
    A ShortageError if the machine ran out of something, an InputError if the place is wrong.
  """
  message = _MESSAGES_BY_ERRNO.get(error.errno or 0, '')
  if message and error.errno not in (errno.EROFS, errno.EACCES):
    return ShortageError(
      f'cannot write {place}: {_filled_in(message)}, then run the same command again'
    )
  return InputError(f'cannot write {place}: {error.strerror}{remedy}')


def _filled_in(message: str) -> str:
  """A message with the limit of file handles, if the message has a place for it."""
  return message.format(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def is_out_of_memory(error: BaseException) -> bool:
  """Whether an exception means that the host or a device ran out of memory."""
  return shortage(error).endswith(_NO_MEMORY)
