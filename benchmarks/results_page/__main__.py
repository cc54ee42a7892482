"""Writes docs/results.md, and the best rows of the README.

  python -m benchmarks.results_page

A result of training has a `test`, and gets a `title` by hand, with a `goal` where there is one. Any
other file needs an entry in `checks.CHECKS`.
"""

import json
import pathlib
import re
from collections.abc import Iterable
from typing import Any

from benchmarks.result_file import FOLDER, ROOT
from benchmarks.results_page import checks, trained
from cifar_jax import output_files

PAGE = ROOT / 'docs' / 'results.md'
README = ROOT / 'README.md'
MARKED = re.compile(r'(?<=<!-- results -->\n).*?(?=<!-- /results -->)', flags=re.DOTALL)
BEST = (  # what the README shows
  *('resnet20_paper', 'speedrun_cpu', 'resnet8_shapes_demo'),
  *('torch_parity', 'pretrained_resnets', 'published_predictions', 'speed_cpu', 'kill_campaign'),
  'power_campaign',
  *('plain_jit', 'shared_errors'),
)
INTRODUCTION = """# Results

Written from the files in `benchmarks/results/` by `python -m benchmarks.results_page`. Each file
names its command, commit, versions and machine.

## Trained nets

But for `shapes`, the images are CIFAR-10 (JPEG q75): all 60,000, each re-encoded as a JPEG of
quality 75 with 4:2:0 chroma, 30.5 dB against the originals. The goals were set for these images;
published values are for the originals. The images cost a good net three points: airbench94's own
script, in PyTorch, reaches 90.73 % on them (two seeds), where its authors have 94.01 % on the
originals. Without another word a row is one seed in float32 on two cores. Each accuracy is of
10,000 test images (2,000 of `shapes`), so its 95 % interval reaches 0.6 to 1 point to both sides
(1.2). The time is that of training, with compilation and validation, without the test. At another
commit or on another processor a run rounds differently, and ends at a slightly different accuracy.
`DATA` is the directory that holds `cifar-10-batches-bin`.
[The gallery](gallery/README.md) has the analyses and the studies.
"""
FOOTNOTE = '¹ The machine did other work during the run.'


def main() -> None:
  """Writes both files."""
  results = read()
  output_files.write_text(PAGE, page(results))
  output_files.write_text(README, MARKED.sub(lambda _: best(results), README.read_text()))


def read(folder: pathlib.Path = FOLDER) -> dict[str, dict[str, Any]]:
  """Returns the content of each result file, best accuracy first, checks in their order."""
  found = {file.stem: json.loads(file.read_text()) for file in folder.glob('*.json')}
  names = sorted(_trained(found), key=lambda name: _rank(found[name]), reverse=True)
  return {name: found[name] for name in (*names, *checks.CHECKS) if name in found}


def page(results: dict[str, dict[str, Any]]) -> str:
  """Returns the whole of docs/results.md."""
  names = _trained(results)
  commands = '\n'.join(dict.fromkeys(results[name]['command'] for name in names))
  return '\n'.join(
    (
      INTRODUCTION,
      *_table(trained.HEAD, (trained.row(name, results[name], _link(name)) for name in names)),
      f'\n{FOOTNOTE}\n\n```\n{commands}\n```\n\n## Checks\n',
      *_table(
        checks.HEAD,
        (checks.row(name, results[name], _link(name)) for name in results if name not in names),
      ),
      '',
    )
  )


def best(results: dict[str, dict[str, Any]]) -> str:
  """Returns the README's table: the rows of `BEST`."""
  rows = []
  for name in BEST:
    result = results[name]
    if name in checks.CHECKS:
      question, answer = checks.CHECKS[name](result)
      answer += checks.remark(result)
    else:
      question, answer = result['title'], trained.accuracy(result)
      if 'published' in (goal := result.get('goal', '')):
        answer += f' ({goal})'
    answer = answer.replace('](', '](docs/')
    rows.append(f'| {question} | {answer} | [{name}](benchmarks/results/{name}.json) |')
  return '\n'.join((*_table('| what | result | source |', rows), ''))


def _trained(results: dict[str, dict[str, Any]]) -> list[str]:
  return [name for name, result in results.items() if 'title' in result]


def _rank(result: dict[str, Any]) -> tuple[bool, float]:
  """Returns what a table is sorted by: real images before drawn ones, then the accuracy."""
  run = result.get('runs', [result])[0]
  return run['data'] != 'shapes', run['test']['accuracy']


def _link(name: str) -> str:
  return f'../benchmarks/results/{name}.json'


def _table(head: str, rows: Iterable[str]) -> tuple[str, ...]:
  return head, '| --- ' * (head.count('|') - 1) + '|', *rows


if __name__ == '__main__':
  main()
