"""`cifar-jax` and the `--help` of every command: what they show, and that they are quick."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from cifar_jax import __main__, cli, main
from cifar_jax.analysis import __main__ as analysis
from cifar_jax.config import help_text, loading
from cifar_jax.config.base import base
from cifar_jax.config.dataset import DataSettings, count_or_share
from tests.support.paths import ROOT

MODULES = [module for module, _ in (__main__.COMMANDS | analysis.ANALYSES).values()]
# Importing any of these takes a tenth of a second or more.
HEAVY = {'jax', 'flax', 'numpy', 'optax', 'orbax', 'matplotlib', 'scipy', 'PIL', 'tensorflow'}


def test_help_of_every_command_takes_half_a_second_at_most_and_imports_nothing_heavy() -> None:
  code = f"""
import importlib, io, contextlib, json, sys, time
texts = {{}}
for name in {MODULES}:
  sys.argv = [name, '--help']
  with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    importlib.import_module(name).main()
  texts[name] = out.getvalue()
print(json.dumps([texts, time.process_time(), sorted({HEAVY} & set(sys.modules))]))
"""
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
  )  # fmt: skip
  texts, seconds, heavy = json.loads(done.stdout)
  assert heavy == []
  assert all(text.startswith('usage: ') for text in texts.values()), texts
  # All commands in one process, which imports once what each of them would import.
  assert seconds < 0.5 + 0.1 * len(MODULES)


def show(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int | str | None, str, str]:
  """Runs `cifar-jax` in this process: its exit status, its output and its error output."""
  monkeypatch.setattr(sys, 'argv', ['cifar-jax', *words])
  with pytest.raises(SystemExit) as exit_:
    cli.run(__main__.main)
  return exit_.value.code, *capsys.readouterr()


@pytest.mark.parametrize('words', [(), ('--help',)])
def test_without_a_command_all_are_listed_with_a_line_each(
  words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  status, out, _ = show(monkeypatch, capsys, *words)
  assert status == 0
  lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line[:2] == '  '}
  assert list(lines) == list(__main__.COMMANDS) and all(len(line) > 2 for line in lines.values())


def test_the_analyses_are_listed_and_a_misspelt_command_is_refused_in_one_line(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  status, out, _ = show(monkeypatch, capsys, 'analysis')
  assert status == 0 and all(name in out for name in analysis.ANALYSES)
  status, _, err = show(monkeypatch, capsys, 'tarin', '--config', 'resnet')
  assert status == 2 and err.count('\n') == 1 and 'did you mean train?' in err
  status, _, err = show(monkeypatch, capsys, 'analysis', 'lesions')
  assert status == 2 and err.count('\n') == 1 and 'did you mean lesion?' in err


def test_every_analysis_has_a_command() -> None:
  measures = (ROOT / 'cifar_jax' / 'analysis' / 'measures').glob('[a-z]*.py')
  assert {file.stem for file in measures} == set(analysis.ANALYSES)


def test_a_command_names_itself_as_it_was_called_and_gets_its_arguments(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  assert (
    'usage: cifar-jax analysis lesion '
    in show(monkeypatch, capsys, 'analysis', 'lesion', '--help')[1]
  )
  status, _, err = show(monkeypatch, capsys, 'train', '--config', 'resnet', '--wrkdir=x')
  assert status == 2 and '--wrkdir=x (see cifar-jax train --help)' in err
  monkeypatch.setattr(sys, 'argv', ['/anywhere/main.py', '--help'])
  with pytest.raises(SystemExit):
    main.main()
  assert 'usage: python -m cifar_jax.main ' in capsys.readouterr().out


@pytest.mark.parametrize('form', ['--help', '-h', '--helpfull'])
def test_help_shows_every_key_with_its_default_and_its_meaning(
  form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  _, out, _ = show(monkeypatch, capsys, 'train', form)
  lines = out.splitlines()
  for key, default in loading.flatten(base('', 'cifar10')).items():
    value = count_or_share(key, default)
    number = next(i for i, line in enumerate(lines) if line.startswith(f'  {key}={value}'))
    setting, _, meaning = lines[number].strip().partition('  ')
    assert setting == f'{key}={value}'
    assert meaning or lines[number + 1].startswith(' ' * 34), key
  text = ' '.join(out.split())
  assert 'times the learning rate (decoupled decay). It must be at' in text
  assert 'It must be one of constant, cosine, sgdr' in text
  assert max(map(len, lines)) <= 100


def test_help_without_docstrings_still_shows_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(DataSettings, '__doc__', None)  # as with `python -OO`
  text = help_text.of_keys('data.')
  assert 'data.validation_size=5000' in text and 'It must be at least 0.' in text


def test_help_with_a_recipe_shows_its_arguments_and_its_values(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  monkeypatch.chdir(tmp_path)
  _, out, _ = show(monkeypatch, capsys, 'train', '--config', 'resnet:depth=56', '--help')
  assert 'depth=20, form=cifar' in out  # the defaults
  assert '  model.name=resnet56 ' in out and '  schedule.name=piecewise ' in out
  _, out, _ = show(monkeypatch, capsys, 'train', '--config=configs/vgg.py', '--help')
  assert 'model=vgg19_bn, head=linear' in out and '  model.dropout=0.0' in out
  status, _, err = show(monkeypatch, capsys, 'train', '--config', 'resnt', '--help')
  assert status == 2 and 'did you mean resnet?' in err
