"""The rows of trained nets, one for each result file that has a test accuracy."""

import math
from collections.abc import Mapping
from typing import Any

HEAD = '| net and recipe | test accuracy | goal or published | time | machine | source |'
Result = Mapping[str, Any]


def row(name: str, result: Result, link: str) -> str:
  """Returns a line of the table.

  Args:
    name: name of the result file, without its suffix.
    result: content of the file. Beside what a run writes it has a `title`, and where they exist a
      `goal` and a `note`.
    link: path of the file, as seen from the page.
  """
  mark = '¹' if 'other work' in result.get('note', '') else ''
  cells = (
    result['title'],
    accuracy(result),
    result.get('goal', '-'),
    duration(result['seconds']) + mark,
    result['machine'].removesuffix(', 2 cores'),
    f'[{name}]({link}), commit {result["commit"]}',
  )
  return f'| {" | ".join(cells)} |'


def accuracy(result: Result) -> str:
  """Returns the test accuracy in percent, with that of the averaged views where there is one.

  Several seeds give their mean and their standard deviation.
  """
  runs = result.get('runs', [result])
  text = _mean([run['test']['accuracy'] for run in runs])
  if len(runs) > 1:
    text += f' (n = {len(runs)})'
  views = [run['tta']['test']['accuracy'] for run in runs if 'tta' in run]
  return f'{text}; over several views of each image {_mean(views)}' if views else text


def _mean(shares: list[float]) -> str:
  mean = sum(shares) / len(shares)
  if len(shares) == 1:
    return f'{100 * mean:.2f} %'
  deviation = math.sqrt(sum((share - mean) ** 2 for share in shares) / (len(shares) - 1))
  return f'{100 * mean:.2f} ± {100 * deviation:.2f} %'


def duration(seconds: float) -> str:
  """Returns a time as people say it: `48 s`, `3.0 min`, `47 min` or `2.4 h`."""
  if seconds < 90:
    return f'{seconds:.0f} s'
  minutes = seconds / 60
  if minutes < 10:
    return f'{minutes:.1f} min'
  return f'{minutes:.0f} min' if minutes < 100 else f'{minutes / 60:.1f} h'
