"""The one exception that means "what you gave cannot work", as against a bug of ours.

Every command prints its text as one line and exits with status 2; anything else that is raised
keeps its traceback, because then the traceback is what is wanted.
"""


class InputError(ValueError):
  """A value, file or directory that the caller gave and can mend; the text says how."""
