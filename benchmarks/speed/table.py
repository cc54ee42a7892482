"""Makes the table in docs/speed.md from the file of results."""

import pathlib
from typing import Any

from benchmarks.speed.nets import BATCH, DTYPES, NETS

HEAD = (
  *('net', 'dtype', 'training, images/s', 'against PyTorch', 'evaluation, images/s'),
  *('against PyTorch', 'first step, s: cold, cached', 'command to first step, s', 'memory, MB'),
  'input',
)


def markdown(result: dict[str, Any], file: pathlib.Path) -> str:
  """Returns the table, and a paragraph that explains it.

  Args:
    result: content of the file of results.
    file: path of the file.
  """
  nets = list(NETS)
  rows = sorted(
    result['rows'], key=lambda row: (nets.index(row['net']), DTYPES.index(row['dtype']))
  )
  lines = [HEAD, ('---',) * len(HEAD), *map(_cells, rows)]
  table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
  return f'{table}\n\n{_remarks(result, file)}'


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
  """Returns a line of the table: our numbers, with PyTorch's in brackets."""
  title = NETS[row['net']].title
  starts, command = row['first_step_seconds'], row['command_to_first_step_seconds']
  first = f'{starts["ours"]["cold"]:.0f}, {starts["ours"]["cached"]:.1f}'
  torch_first = f'{starts["torch"]["cold"]:.0f}'
  if 'cached' in starts['torch']:
    torch_first += f', {starts["torch"]["cached"]:.1f}'
  kind = 'device_peak_bytes' if 'device_peak_bytes' in row['memory']['ours'] else 'peak_bytes'
  memory = [row['memory'][side][kind] / 1e6 for side in ('ours', 'torch')]
  return (
    title if row['batch'] == BATCH else f'{title}, batch {row["batch"]}',
    row['dtype'],
    *(
      cell
      for kind in ('train', 'evaluate')
      for cell in _race(row[kind], '*' if was_not_compiled(row) else '')
    ),
    f'{first} ({torch_first})',
    f'{_seconds(command["ours"])} ({_seconds(command["torch"])})',
    f'{memory[0]:,.0f} ({memory[1]:,.0f})',
    f'{100 * row["input_share"]["ours"]:.1f} %',
  )


def was_not_compiled(row: dict[str, Any]) -> bool:
  """Whether PyTorch ran uncompiled because it did not compile within the time that it was given."""
  return any(
    isinstance(value, str) for value in row.get('torch_variants_step_seconds', {}).values()
  )


def _race(race: dict[str, Any], mark: str) -> tuple[str, str]:
  ratio, ours, torch = race['ratio'], race['ours']['median'], race['torch']['median']
  return (
    f'{_three_digits(ours)} ({_three_digits(torch)}{mark})',
    f'**{ratio["median"]:.2f}** ({ratio["low"]:.2f} to {ratio["high"]:.2f})',
  )


def _three_digits(value: float) -> str:
  return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def _seconds(value: float | None) -> str:
  return '-' if value is None else f'{value:.1f}'


def _remarks(result: dict[str, Any], file: pathlib.Path) -> str:
  rows = result['rows']
  compiled = sum(row['torch_variant'] != 'eager' for row in rows)
  unfinished = sum(map(was_not_compiled, rows))
  forms = [
    f'compiled in {compiled} of {len(rows)} rows',
    f'uncompiled in {len(rows) - compiled - unfinished}, where that was faster in training',
  ]
  if unfinished:
    forms.append(f'uncompiled in {unfinished}, marked *, which it was given too little time for')
  sentences = [
    'In brackets PyTorch (channels-last, data and augmentation on the device; '
    f'{"; ".join(forms)}). Ratios are medians of interleaved rounds with their quartiles; '
    'above 1 ours is faster.'
  ]
  if 'checkpoint' in result:
    pauses = [1000 * result['checkpoint'][side]['median'] for side in ('ours', 'torch')]
    millions = result['checkpoint']['parameters'] / 1e6
    sentences.append(
      f'A checkpoint of {millions:.0f} M parameters and their momenta keeps the training thread '
      f'for {pauses[0]:.0f} ms (`torch.save`: {pauses[1]:.0f}).'
    )
  versions = f'jax {result["versions"]["jax"]}, PyTorch {result["versions"]["torch"]}'
  sentences.append(
    f'{result["machine"]}, {versions} ([result](../benchmarks/results/{file.name}), commit '
    f'{result["commit"]}).'
  )
  return ' '.join(sentences)
