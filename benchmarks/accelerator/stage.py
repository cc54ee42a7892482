"""A stage as its module sees it: the settings, the time left, and the file that it fills."""

import json
import pathlib
import time
from typing import Any

from benchmarks import result_file

RUNNING, DONE = 'running', 'done'
CACHE = 'JAX_COMPILATION_CACHE_DIR'  # the variable that names the folder of compiled programs


class Stage:
  """A stage that is being measured.

  Attributes:
    name: of its module.
    data_dir: directory of CIFAR-10 for the key `data.data_dir`.
    out: folder of the results.
    scratch: folder for workdirs and compiled programs, which is removed after the run.
    tiny: whether all sizes are the smallest, for a run on CPUs.
    torch_python: the interpreter that may have PyTorch.
  """

  def __init__(
    self,
    name: str,
    data_dir: pathlib.Path,
    out: pathlib.Path,
    scratch: pathlib.Path,
    deadline: float,
    *,
    tiny: bool,
    torch_python: str,
  ) -> None:
    """Begins the file; `deadline` is when to end, by `time.monotonic`, which processes share."""
    self.name, self.data_dir, self.out, self.scratch = name, data_dir, out, scratch
    self.tiny, self.torch_python = tiny, torch_python
    self._deadline = deadline
    self._content: dict[str, Any] = {'stage': name, 'status': RUNNING}
    self._content |= {'limit_seconds': round(self.seconds_left()), 'rows': []}
    self._write()

  def seconds_left(self) -> float:
    """Returns the seconds until the limit."""
    return self._deadline - time.monotonic()

  def describe(self, **values: Any) -> None:
    """Writes values about the whole stage, ready for JSON."""
    self._content |= values
    self._write()

  def add(self, row: dict[str, Any]) -> None:
    """Writes a row, ready for JSON, and prints it."""
    self._content['rows'].append(row)
    self._write()
    result_file.print_row(row)

  def read(self, name: str) -> dict[str, Any]:
    """Returns the file of an earlier stage; empty if there is none."""
    return read(self.out, name)

  def _write(self) -> None:
    result_file.write(path(self.out, self.name), self._content)


def path(out: pathlib.Path, name: str) -> pathlib.Path:
  """Returns the path of a stage's file."""
  return out / f'{name}.json'


def read(out: pathlib.Path, name: str) -> dict[str, Any]:
  """Returns the content of a stage's file; empty if there is none."""
  file = path(out, name)
  return json.loads(file.read_text()) if file.exists() else {}


def end(out: pathlib.Path, name: str, status: str, seconds: float) -> None:
  """Writes how a stage ended into its file: `DONE`, or what cut it off.

  Args:
    out: folder of the results.
    name: of the stage.
    status: how it ended.
    seconds: time that it took.
  """
  content = read(out, name) or {'stage': name, 'rows': []}
  result_file.write(path(out, name), content | {'status': status, 'seconds': round(seconds, 1)})


def reason(error: BaseException) -> str:
  """Returns an exception as a line of a row."""
  return ' '.join(f'{type(error).__name__}: {error}'.split())[:300]
