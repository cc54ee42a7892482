"""The table of models: its rows and its command."""

import json
import pathlib
import sys
from typing import Any

import pytest

from cifar_jax import cli, models
from cifar_jax.models import __main__, families
from cifar_jax.models.cost import table
from cifar_jax.models.cost.columns import SORTS
from tests.support.model_rows import fake_row


@pytest.fixture
def fake_rows(monkeypatch: pytest.MonkeyPatch) -> None:
  """Replaces the traces of models by invented costs."""
  monkeypatch.setattr(table, 'rows', lambda names: [fake_row(name) for name in names])


def run(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: Any
) -> tuple[int, str, str]:
  """Runs the command; returns its exit status, output and error output."""
  monkeypatch.setattr(sys, 'argv', ['cifar_jax.models', *map(str, arguments)])
  with pytest.raises(SystemExit) as exit_:
    cli.run(__main__.main)
  output = capsys.readouterr()
  return int(exit_.value.code or 0), output.out, output.err


def test_a_row_holds_the_cost_and_the_published_error() -> None:
  published = models.published('resnet20')
  assert published is not None
  (row,) = table.rows(['resnet20'])
  assert row == {
    'name': 'resnet20',
    'family': 'resnet',
    'num_classes': 10,
    'image_size': 32,
    'num_params': 269_722,
    'multiply_adds': 40_551_040,
    'forward_bytes': 208_896,
    'training_bytes': 1_525_376,
    'depth': 20,
    'published': published._asdict(),
  }
  assert row['published']['cifar10'] == 8.75


def test_imagenet_models_have_a_thousand_classes() -> None:
  (row,) = table.rows(['vgg11_imagenet'])
  assert (row['num_classes'], row['image_size']) == (1000, 224)
  assert row['num_params'] == 132_863_336
  assert round(row['multiply_adds'] / 1e9, 2) == 7.61


@pytest.mark.slow
def test_several_processes_return_the_rows_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
  names = ['plain20', 'vgg11', 'wrn_16_1']
  alone = table.rows(names)
  monkeypatch.setattr(table, '_MODELS_PER_PROCESS', 1)
  assert table.rows(names) == alone


def test_the_table_is_printed_in_historical_order(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake_rows: None
) -> None:
  status, out, err = run(monkeypatch, capsys)
  assert status == 0
  assert err.startswith(f'counting {len(models.NAMES)} models (about') and err.count('\n') == 1
  lines = out.splitlines()
  assert [line.split()[0] for line in lines[1 : len(models.NAMES) + 1]] == list(models.NAMES)
  assert lines[0].split()[:3] == ['model', 'parameters', 'multiply-adds']
  assert 'table 6' in next(line for line in lines if line.startswith('resnet20 '))
  assert table.CONVENTIONS in out


@pytest.mark.parametrize('by', SORTS)
def test_sorted_values_rise(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake_rows: None, by: str
) -> None:
  status, out, _ = run(monkeypatch, capsys, '--family', 'wide_resnet', '--sort', by, '--json', '-')
  rows = json.loads(out)
  assert status == 0 and {row['family'] for row in rows} == {'wide_resnet'}
  assert len(rows) == len(models.FAMILIES['wide_resnet'].names)
  if by == 'error':
    values = [row['published'] and row['published']['cifar10'] for row in rows]
    known = [value for value in values if value is not None]
    assert values == sorted(known) + [None] * (len(values) - len(known))
  else:
    values = [row[SORTS[by]] for row in rows]
    assert values == sorted(values)


def test_json_is_written_to_a_file_and_the_table_is_printed(
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
  fake_rows: None,
  tmp_path: pathlib.Path,
) -> None:
  path = tmp_path / 'table.json'
  status, out, _ = run(monkeypatch, capsys, '--family', 'resnext', '--json', path)
  assert status == 0 and out.startswith('model')
  rows = json.loads(path.read_text())
  assert rows == [fake_row(name) for name in models.FAMILIES['resnext'].names]


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    (['--family', 'resnets'], ['resnets', 'resnet', 'pyramidnet']),
    (['--sort', 'size'], ['size', 'parameters', 'multiply_adds']),
    (['--dataset', 'svhn'], ['svhn', 'cifar100']),
    (['--json', 'nowhere/table.json'], ['nowhere', 'directory']),
    (['--json', '.'], ['.', 'directory']),
    (['--plot', 'nowhere/table.png'], ['nowhere', 'directory']),
    (['--plot', 'table.png', '--family', 'wide_resnet', '--dataset', 'imagenet'], ['imagenet']),
    (['--plot', '.'], ['.', 'directory']),
    (['resnet21'], ['not 21', '20 and 26']),
    (['resnet20', '--sort', 'error'], ['resnet20', 'leave out']),
  ],
)
def test_bad_arguments_are_refused_in_one_line(
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
  fake_rows: None,
  tmp_path: pathlib.Path,
  arguments: list[str],
  words: list[str],
) -> None:
  monkeypatch.chdir(tmp_path)
  status, _, err = run(monkeypatch, capsys, *arguments)
  assert status == 2 and err.count('\n') == 1 and all(word in err for word in words), err
  assert list(tmp_path.iterdir()) == []


def test_the_command_draws_a_complete_png(
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
  fake_rows: None,
  tmp_path: pathlib.Path,
) -> None:
  path = tmp_path / 'table.png'
  status, _, err = run(monkeypatch, capsys, '--family', 'pyramidnet', '--plot', path)
  assert status == 0, err
  png = path.read_bytes()
  assert png.startswith(b'\x89PNG') and png.endswith(b'IEND\xaeB`\x82')
  assert list(tmp_path.iterdir()) == [path]


def test_the_name_of_a_model_shows_its_parameters(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  status, output, _ = run(monkeypatch, capsys, 'resnet20')
  assert status == 0 and 'Total: 269,722 -- 1,078,888 bytes' in output
  rows = [[cell.strip() for cell in line.split('|')] for line in output.splitlines()]
  assert ['', 'stem_conv/kernel', '(3, 3, 3, 16)', 'float32', '432', ''] in rows


OWN = """
import flax.linen as nn
from cifar_jax import models


@models.register('flat_net')
class FlatNet(nn.Module):
  num_classes: int = 10

  @nn.compact
  def __call__(self, images, *, train):
    return nn.Dense(self.num_classes, name='head')(images.reshape(images.shape[0], -1))
"""


def test_the_parameters_of_an_own_model_are_printed(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  (tmp_path / 'flat.py').write_text(OWN)
  monkeypatch.setattr(families, '_registered', dict(families._registered))
  status, out, _ = run(monkeypatch, capsys, 'flat_net', '--module', tmp_path / 'flat.py')
  assert status == 0 and 'head/kernel' in out and '30,730' in out
  status, _, err = run(monkeypatch, capsys, '--module', tmp_path / 'flat.py')
  assert status == 2 and 'NAME' in err
