"""What a run has left that a page can show: results, records, pictures and what belongs to them."""

import base64
import dataclasses
import io
import json
import os
import pathlib
from typing import TYPE_CHECKING, Any

import cifar_jax.report.runs as runs

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.figure import Figure

_DOTS_PER_INCH = 130
_WIDE = 1.6  # times as wide as high, from where on a picture has the width of the page


@dataclasses.dataclass(frozen=True)
class Run:
  """A run, finished or not.

  Attributes:
    name: of its directory.
    workdir: of the run.
    config: as it was started, a dictionary for each section.
    result: of `result.json`; empty until the run ends.
    records: of `metrics.jsonl`; empty until the first is written.
  """

  name: str
  workdir: pathlib.Path
  config: dict[str, Any]
  result: dict[str, Any]
  records: list[runs.Record]

  @property
  def epoch(self) -> float:
    """How far it has come."""
    return self.result.get('num_epochs') or max((r['epoch'] for r in self.records), default=0.0)

  @property
  def published(self) -> dict[str, Any] | None:
    """`error_percent` and `source` of what a paper prints for the model, where it does."""
    return self.result.get('published')

  @property
  def test_error(self) -> float | None:
    """In percent, of the last epoch."""
    return self.error('test', 'accuracy')

  @property
  def train_error(self) -> float | None:
    """In percent, on the augmented images of the last epoch, as the net was while it learned."""
    return runs.last_epoch_error(self.records)

  def error(self, split: str, measure: str) -> float | None:
    """What a measure of the result lacks to 100 %; None before the end of the run."""
    value = self.result.get(split, {}).get(measure)
    return None if value is None else 100 * (1 - value)


def read(workdir: str | os.PathLike[str]) -> Run:
  """Reads a run.

  Raises:
    InputError: there is none in the directory, or one of its files cannot be read.
  """
  workdir = pathlib.Path(workdir)
  return Run(
    name=workdir.resolve().name,
    workdir=workdir,
    config=runs.read_config(workdir),
    result=runs.read_result(workdir) if (workdir / 'result.json').exists() else {},
    records=runs.read_records(workdir) if (workdir / 'metrics.jsonl').exists() else [],
  )


def flatten(section: dict[str, Any], prefix: str = '') -> dict[str, Any]:
  """Keys of nested dictionaries as dotted paths."""
  flat: dict[str, Any] = {}
  for key, value in section.items():
    path = f'{prefix}{key}'
    flat |= flatten(value, f'{path}.') if isinstance(value, dict) else {path: value}
  return flat


def pictures(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """The PNG files of a folder by their names, in the order of these; empty without the folder."""
  return {path.stem: path for path in sorted(folder.glob('*.png'))}


def objects(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
  """The JSON objects of a folder by the names of their files; what is none is left out."""
  found = {path.stem: _object(path) for path in sorted(folder.glob('*.json'))}
  return {name: value for name, value in found.items() if value}


def _object(path: pathlib.Path) -> dict[str, Any]:
  try:
    value = json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError):  # a picture can be shown without what was measured for it
    return {}
  return value if isinstance(value, dict) else {}


def settings(path: pathlib.Path) -> str:
  """Of what an analysis was made, in a line, by its JSON object; empty where that does not say."""
  told = _object(path)
  split, checkpoint, number = (told.get(key) for key in ('split', 'checkpoint', 'num_images'))
  parts = [f'{checkpoint} checkpoint' if checkpoint else '']
  parts.append(f'{number} {split} images' if split and number else '')
  return ', '.join(filter(None, parts))


def png(figure: 'Figure') -> bytes:
  """A figure as a PNG in memory."""
  buffer = io.BytesIO()
  figure.savefig(buffer, format='png', dpi=_DOTS_PER_INCH)
  return buffer.getvalue()


def is_wide(png: bytes) -> bool:
  """Whether a PNG has panels side by side, which need the width of the page."""
  # The header: signature (8 bytes), length and type of the first chunk (8), width, height.
  width, height = (int.from_bytes(png[start : start + 4], 'big') for start in (16, 20))
  return width > _WIDE * height


def data_url(png: bytes) -> str:
  """A PNG as an address that holds it."""
  return f'data:image/png;base64,{base64.b64encode(png).decode("ascii")}'
