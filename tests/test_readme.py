"""Commands and files that the README and the pages name exist; their numbers are the results'."""

import json
import pathlib
import re
import shlex

import pytest

from benchmarks.results_page import __main__ as results_page
from cifar_jax import models
from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from tests.support.paths import ROOT

README = (ROOT / 'README.md').read_text()
PAGES = [ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'launch/README.md')]
PAGES.append(ROOT / 'benchmarks' / 'README.md')
PAGES += sorted((ROOT / 'docs').rglob('*.md'))
COMMANDED = [ROOT / 'README.md']  # pages whose blocks hold nothing but commands
COMMANDED += [ROOT / 'docs' / f'{name}.md' for name in ('training', 'models', 'evaluation')]
BLOCK = re.compile(r'^```\n(.*?)^```', flags=re.DOTALL | re.MULTILINE)
COMMANDS = sorted(
  {
    line
    for page in COMMANDED
    for block in BLOCK.findall(page.read_text())
    for line in block.splitlines()
  }
)
RESULTS = sorted((ROOT / 'benchmarks' / 'results').glob('*.json'))
# Words that a page sets in backticks and that look like a path of this repository.
PATH = re.compile(
  r'`((?:cifar_jax|benchmarks|configs|docs|launch|tests)/[\w./]*(?:/|\.(?:py|md|sh|json|yaml)))`'
)


def test_the_readme_gives_the_two_commands() -> None:
  assert 'make demo' in COMMANDS and 'make test' in COMMANDS


@pytest.mark.parametrize('command', COMMANDS)
def test_each_command_names_a_module_and_a_configuration_that_exist(command: str) -> None:
  program, *words = shlex.split(command)
  if program == 'make':
    assert re.search(rf'^{words[0]}:', (ROOT / 'Makefile').read_text(), flags=re.MULTILINE)
    return
  assert program == '.venv/bin/python' and words[0] == '-m'
  module = ROOT.joinpath(*words[1].split('.'))
  assert module.with_suffix('.py').exists() or (module / '__main__.py').exists()
  if '--config' in words:
    path = words[words.index('--config') + 1]
    override(loading.load(str(ROOT / path)), [w for w in words if w.startswith('--config.')])


@pytest.mark.parametrize('file', RESULTS, ids=lambda file: file.stem)
def test_each_result_has_a_row_and_a_clean_commit(file: pathlib.Path) -> None:
  result = json.loads(file.read_text())
  assert f'benchmarks/results/{file.name}' in (ROOT / 'docs' / 'results.md').read_text()
  assert '+changes' not in result['commit']


def test_the_pages_of_results_are_written_anew_when_a_result_changes() -> None:
  results = results_page.read()
  assert results_page.PAGE.read_text() == results_page.page(results)
  marked = results_page.MARKED.search(README)
  assert marked and marked[0] == results_page.best(results)


def test_the_reading_order_names_files_that_exist() -> None:
  section = README.split('## Reading order')[1].split('[CONTRIBUTING')[0]
  folder = ROOT
  names = re.findall(r'`([\w/.]+)`', section)
  assert len(names) > 5
  for name in names:
    start = ROOT if name.startswith('cifar_jax/') else ROOT / 'cifar_jax'
    path = start / name if '/' in name else folder / name
    assert path.exists(), name
    folder = path.parent


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_page_links_to_and_names_files_that_exist(page: pathlib.Path) -> None:
  text = page.read_text()
  links = re.findall(r'\]\((?!https?:)([^)#]+)\)', text)
  missing = [link for link in links if not (page.parent / link).exists()]
  written_by_the_page = re.findall(r'^Write `([^`]+)`', text, flags=re.MULTILINE)
  paths = set(PATH.findall(text)) - set(written_by_the_page)
  missing += sorted(path for path in paths if not (ROOT / path).exists())
  assert not missing


def test_the_page_on_scaling_has_the_numbers_of_its_results_and_of_the_models() -> None:
  page = (ROOT / 'docs' / 'scaling.md').read_text()
  for model in ('resnet20', 'wrn_28_10'):
    file = ROOT / 'benchmarks' / 'results' / f'scaling_{model}.json'
    groups = json.loads(file.read_text())['programs'][0]['groups']
    cells = [
      f'{group["count"]}, {group["bytes"]:,} B'
      for name in ('gradient', 'batch norm, forward', 'batch norm, backward')
      for group in [groups[f'all-reduce: {name}']]
    ]
    assert ' | '.join(cells) in page
  num_params = models.num_params(models.create('resnet110'))
  assert f'ResNet-110 | not compiled: counted by the same rule | {num_params:,} parameters' in page
