"""The exceptions that a command answers with one line; any other keeps its traceback, as a bug."""


class InputError(ValueError):
  """A value, file or directory that the caller gave and can mend; the text says how.

  Commands exit with status 2.
  """


class DivergedError(ArithmeticError):
  """The loss or the gradient of a step was infinite or not a number.

  Commands exit with status 1.
  """
