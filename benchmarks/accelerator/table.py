"""Makes the tables of `docs/accelerator.md` from the files of results.

  python -m benchmarks.accelerator.table              writes them into the page
  python -m benchmarks.accelerator.table --out DIR    first copies the results of a run from DIR

A number that no file holds is `not yet measured`.
"""

import argparse
import json
import pathlib
import re
import shutil
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks import result_file
from benchmarks.accelerator import floors, plan, stage
from benchmarks.speed.nets import NETS as TITLES
from cifar_jax import output_files
from cifar_jax.errors import InputError

PAGE = result_file.ROOT / 'docs' / 'accelerator.md'
FOLDER = floors.RESULT.parent
MISSING = 'not yet measured'
STEPS = (
  *('net', 'operations', 'bytes', 'floor, ms', 'step, ms', 'of the matrix rate'),
  *('training against PyTorch', 'evaluation against PyTorch'),
)
COUNTS = (
  'net',
  'convolutions',
  'transposes',
  'conversions',
  'sums',
  'paddings',
  'joins',
  'kernels',
)
COUNTED = ('convolution', 'transpose', 'convert', 'reduce', 'pad', 'concatenate')


def main() -> None:
  """Writes the tables into the page."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--out', type=pathlib.Path, help='results to copy into the repository')
  arguments = parser.parse_args()
  if arguments.out:
    adopt(arguments.out)
  output_files.write_text(PAGE, fill(PAGE.read_text(), FOLDER))


def adopt(out: pathlib.Path) -> None:
  """Copies the results of a run into the repository.

  Raises:
    InputError: there are none, or they are of the smallest sizes.
  """
  card = stage.read(out, 'card')
  if not card or card.get('tiny', True):
    raise InputError(f'{out} has no results of a whole run on an accelerator')
  for entry in plan.STAGES:
    if (file := stage.path(out, entry.name)).exists():
      shutil.copy(file, FOLDER)


def fill(page: str, folder: pathlib.Path) -> str:
  """Returns the page with the text between its marks made anew."""
  texts = {'floors': steps(folder), 'counts': counts(), 'stages': markdown(folder)}
  for name, text in texts.items():
    marks = f'<!-- {name} -->', f'<!-- /{name} -->'
    pattern = re.compile(f'{marks[0]}.*?{marks[1]}', flags=re.DOTALL)
    page = pattern.sub(lambda _: f'{marks[0]}\n{text}\n{marks[1]}', page)  # noqa: B023
  return page


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
  lines = [head, ('---',) * len(head), *rows]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _floors() -> list[dict[str, Any]]:
  return json.loads(floors.RESULT.read_text())['rows']


def _title(model: str) -> str:
  return TITLES[model].title if model in TITLES else model


def steps(folder: pathlib.Path) -> str:
  """Returns the table of a step of each net: its floor, and beside it what was measured."""
  raced = {row['net']: row for row in stage.read(folder, 'race').get('rows', [])}
  rates = {row['kind']: row.get('rate') for row in stage.read(folder, 'card').get('rows', [])}
  rows = []
  for floor in _floors():
    cells = (
      f'{_title(floor["model"])}, batch {floor["batch_size"]}',
      f'{floor["operations"] / 1e12:.2f} T',
      f'{floor["bytes"] / 1e9:.2f} GB',
      f'{1000 * floor["seconds"]:.2f}',
    )
    race = raced.get(floor['model'], {})
    rows.append((*cells, *_measured(race, floor, rates.get('product'))))
  return _table(STEPS, rows)


def _measured(
  race: dict[str, Any], floor: dict[str, Any], rate: float | None
) -> tuple[str, str, str, str]:
  """Returns the last cells of a row of `steps`."""
  if 'train' in race:
    seconds = race['batch'] / race['train']['ours']['median']
  elif 'ours_step_seconds' in race:  # PyTorch was not there, or was late
    seconds = race['ours_step_seconds']
  else:
    return (MISSING,) * 4
  share = f'{100 * floor["operations"] / seconds / rate:.0f} %' if rate else MISSING
  return f'{1000 * seconds:.2f}', share, _ratio(race.get('train')), _ratio(race.get('evaluate'))


def _ratio(race: dict[str, Any] | None) -> str:
  if not race:
    return MISSING
  ratio = race['ratio']
  return f'{ratio["median"]:.2f} ({ratio["low"]:.2f} to {ratio["high"]:.2f})'


def counts() -> str:
  """Returns the table of what the lowered steps hold: all, and those on large arrays."""
  rows = []
  for floor in _floors():
    numbers = floor['counts']
    cells = (f'{numbers[name]["all"]} ({numbers[name]["large"]})' for name in COUNTED)
    rows.append((_title(floor['model']), *cells, str(floor['kernels'])))
  return _table(COUNTS, rows)


def markdown(folder: pathlib.Path) -> str:
  """Returns the table of the stages: how each ended, and its result in a line."""
  rows = []
  for entry in plan.STAGES:
    content = stage.read(folder, entry.name)
    result = SUMMARIES[entry.name](content) if content.get('rows') else MISSING
    seconds = f'{content["seconds"]:.0f} s' if 'seconds' in content else ''
    rows.append((entry.name, entry.title, result, content.get('status', ''), seconds))
  return _table(('stage', 'measures', 'result', 'status', 'time'), rows)


def _card(content: dict[str, Any]) -> str:
  found = {row['kind']: row for row in content['rows']}
  parts = [content.get('device', '')]
  if 'product' in found:
    parts.append(f'{found["product"]["rate"] / 1e12:.3g} TFLOP/s')
  if 'copy' in found:
    parts.append(f'{found["copy"]["bandwidth"] / 1e12:.3g} TB/s')
  return ', '.join(parts)


def _families(content: dict[str, Any]) -> str:
  rows = [row for row in content['rows'] if not row.get('only_traced')]
  good = [row for row in rows if row.get('finite') and row.get('falls')]
  text = f'{len(good)} of {len(rows)} losses finite and falling'
  if compiled := [row['compile_seconds'] for row in rows if 'compile_seconds' in row]:
    text += f'; compiled in {statistics.median(compiled):.1f} s (at most {max(compiled):.1f})'
  others = [f'{row["family"]} {row["dtype"]}' for row in rows if row not in good]
  return text + (f'; not: {", ".join(others)}' if others else '')


def _commands(content: dict[str, Any]) -> str:
  rows = content['rows']
  failed = [row['command'] for row in rows if row['status']]
  text = f'{len(rows) - len(failed)} of {len(rows)} ended with status 0'
  return text + (f'; not: {", ".join(failed)}' if failed else '')


def _race(content: dict[str, Any]) -> str:
  ratios = [row['train']['ratio']['median'] for row in content['rows'] if 'train' in row]
  if not ratios:
    return f'{MISSING} against PyTorch'
  return f'training {min(ratios):.2f} to {max(ratios):.2f} times as fast as PyTorch'


def _speed_run(content: dict[str, Any]) -> str:
  if not (summary := content.get('summary')):  # the stage was cut off
    return MISSING
  accuracy = f'{100 * summary["mean_accuracy"]:.2f} %'
  return f'{summary["mean_seconds"]:.2f} s to {accuracy}, n = {len(content["rows"])}'


def _reproduction(content: dict[str, Any]) -> str:
  parts = []
  for row in content['rows']:
    name = row['config'].partition('/')[2]
    if 'result' in row:
      error = 100 - 100 * row['result']['test']['accuracy']
      text = f'{row["epochs"]} of {row["epochs_of_recipe"]} epochs, {row["seeds"]} seeds'
      parts.append(f'{name}: error {error:.2f} % ({text})')
    else:
      parts.append(f'{name}: {row.get("left_out") or row.get("error") or row.get("status")}')
  return '; '.join(parts)


def _options(content: dict[str, Any]) -> str:
  parts = []
  for row in content['rows']:
    known = ('step_ms', 'step_ms_of_all_seeds', 'same_bits', 'kills', 'runs')
    values = {key: row[key] for key in (*known, 'runs_equal_to_the_bit', 'error') if key in row}
    parts.append(f'{row["option"]}: {json.dumps(values)}')
  return '; '.join(parts).replace('"', '')


SUMMARIES = {
  'card': _card,
  'families': _families,
  'commands': _commands,
  'race': _race,
  'speed_run': _speed_run,
  'reproduction': _reproduction,
  'options': _options,
}


if __name__ == '__main__':
  main()
