"""The user's own code, such as a module with a net, told apart from this program and libraries."""

import contextlib
import functools
import os
import pathlib
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
  path = os.path.realpath(file)
  parents = pathlib.Path(path).parents
  return not path.startswith(_LIBRARIES) and not any(map(_holds_libraries, parents))


@functools.cache
def _holds_libraries(folder: pathlib.Path) -> bool:
  """Whether pip has installed libraries into a folder, such as that of `--user` or `--target`."""
  with contextlib.suppress(OSError):
    return any(name.endswith('.dist-info') for name in os.listdir(folder))
  return False


def last_frame(error: BaseException) -> traceback.FrameSummary | None:
  """The innermost call in a file of the user's that an exception passed; None if there is none."""
  frames = [
    frame
    for frame in traceback.extract_tb(error.__traceback__)
    if os.path.isfile(frame.filename) and is_of_user(frame.filename)
  ]
  return frames[-1] if frames else None
