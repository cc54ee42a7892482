"""The README's commands exist, and its numbers are those of the committed results."""

import json
import pathlib
import re
import shlex

import pytest

from cifar_jax import config

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()
BLOCKS = re.findall(r'^```\n(.*?)^```', README, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
RESULTS = sorted((ROOT / 'benchmarks' / 'results').glob('*.json'))


def test_the_two_commands_are_there():
  assert 'make demo' in COMMANDS and 'make test' in COMMANDS


@pytest.mark.parametrize('command', COMMANDS)
def test_each_command_names_what_exists(command):
  program, *words = shlex.split(command)
  if program == 'make':
    assert re.search(rf'^{words[0]}:', (ROOT / 'Makefile').read_text(), flags=re.MULTILINE)
    return
  assert program == '.venv/bin/python' and words[0] == '-m'
  module = ROOT.joinpath(*words[1].split('.'))
  assert module.with_suffix('.py').exists() or (module / '__main__.py').exists()
  if '--config' in words:
    path = words[words.index('--config') + 1]
    config.override(config.load(str(ROOT / path)), [w for w in words if w.startswith('--config.')])


@pytest.mark.parametrize('file', RESULTS, ids=lambda file: file.stem)
def test_each_result_stands_in_the_readme_with_its_source(file):
  result = json.loads(file.read_text())
  assert f'benchmarks/results/{file.name}' in README
  assert result['commit'] in README and '+changes' not in result['commit']
  if 'test' in result:
    assert f'{100 * result["test"]["accuracy"]:.2f} %' in README
