"""The user's own code, such as a module with a net, told apart from this program and libraries."""

import os
import sysconfig
import traceback

_LIBRARIES = tuple(
  os.path.realpath(folder) + os.sep
  for folder in (
    *(sysconfig.get_path(name) for name in ('stdlib', 'purelib', 'platlib')),
    os.path.dirname(__file__),
  )
)


def is_of_user(file: str) -> bool:
  """Whether a file is neither this program's nor an installed library's."""
  return not os.path.realpath(file).startswith(_LIBRARIES)


def last_frame(error: BaseException) -> traceback.FrameSummary | None:
  """The innermost call in a file of the user's that an exception passed; None if there is none."""
  frames = [
    frame
    for frame in traceback.extract_tb(error.__traceback__)
    if os.path.isfile(frame.filename) and is_of_user(frame.filename)
  ]
  return frames[-1] if frames else None
