"""The table of models: its rows, its command, its picture."""

import json
import pathlib
import runpy
import sys

import pytest

from cifar_jax import command, models
from cifar_jax.errors import InputError
from cifar_jax.models import __main__ as program
from cifar_jax.models import table
from cifar_jax.report import labels, model_table

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
# Configs whose VARIANTS tell errors: the model that a key stands for, None where it has none.
VARIANTS = {
  'alexnet': str,
  'densenet': lambda block, key: f'densenet_{"bc_" * (block == "bc")}{key[0]}_{key[1]}',
  'fractalnet': lambda regularized: 'fractalnet20' if regularized else None,
  'googlenet': str,
  'preact_resnet': lambda depth: f'preact_resnet{depth}',
  'pyramidnet': str,
  'resnet': lambda depth: f'resnet{depth}',
  'resnext': lambda key: 'resnext_29_{}x{}d'.format(*key),
  'se_resnet': str,
  'stochastic_depth': lambda depth: f'resnet{depth}_stochastic_depth',
  'vgg': lambda key: key[0] if key[1] == 'linear' else None,
  'wide_resnet': lambda key: 'wrn_{}_{}'.format(*key),
}


def fake_row(name):
  """A row without a trace: costs that grow with the name's place in history."""
  place = 1 + models.NAMES.index(name)
  known = table.published(name)
  return {
    'name': name,
    'family': table.family(name),
    'num_classes': 10,
    'image_size': 32,
    'num_params': 400_000 * place,
    'multiply_adds': 10_000_000 * place**2,
    'forward_bytes': 10_000 * place,
    'training_bytes': 1_000_000 * (1000 - place),
    'depth': 7 + place % 5,
    'published': known and known._asdict(),
  }


@pytest.fixture
def fake_rows(monkeypatch):
  monkeypatch.setattr(table, 'rows', lambda names: [fake_row(name) for name in names])


def run(monkeypatch, capsys, *arguments):
  """Exit status, output and complaint of the command."""
  monkeypatch.setattr(sys, 'argv', ['cifar_jax.models', *map(str, arguments)])
  with pytest.raises(SystemExit) as exit_:
    command.run(program.main)
  return exit_.value.code or 0, *capsys.readouterr()


def test_a_row_is_what_was_measured_and_published():
  (row,) = table.rows(['resnet20'])
  assert row == {
    'name': 'resnet20',
    'family': 'resnet',
    'num_classes': 10,
    'image_size': 32,
    'num_params': 269_722,
    'multiply_adds': 40_551_040,
    'forward_bytes': 208_896,
    'training_bytes': 1_697_408,
    'depth': 20,
    'published': table.published('resnet20')._asdict(),
  }
  assert row['published']['cifar10'] == 8.75


def test_imagenet_models_have_a_thousand_classes():
  (row,) = table.rows(['vgg11_imagenet'])
  assert (row['num_classes'], row['image_size']) == (1000, 224)
  assert row['num_params'] == 132_863_336
  assert round(row['multiply_adds'] / 1e9, 2) == 7.61


def test_processes_give_the_rows_in_order(monkeypatch):
  names = ['plain20', 'vgg11', 'wrn_16_1']
  alone = table.rows(names)
  monkeypatch.setattr(table, '_FEW', 1)
  assert table.rows(names) == alone


@pytest.mark.parametrize('config', VARIANTS)
def test_configs_and_models_tell_the_same_errors(config):
  variants = runpy.run_path(str(CONFIGS / f'{config}.py'))['VARIANTS']
  told = {VARIANTS[config](key): value for key, value in variants.items() if config != 'densenet'}
  if config == 'densenet':
    for block, nets in variants.items():
      told |= {VARIANTS[config](block, key): value for key, value in nets.items()}
  told.pop(None, None)
  for name, errors in told.items():
    if isinstance(errors, dict):
      errors = errors.get('cifar10', errors.get('error_percent')), errors.get('cifar100')
    known = table.published(name)
    for dataset, error in zip(('cifar10', 'cifar100'), errors, strict=True):
      assert None in (known, error) or getattr(known, dataset) == error, name


def test_every_published_error_is_that_of_a_model_and_has_a_source():
  for family in models.FAMILIES:
    assert set(family.PUBLISHED) <= set(family.NAMES)
    for published in family.PUBLISHED.values():
      assert published.source and any(published[1:])
      assert all(0 < error < 100 for error in published[1:] if error is not None)


def test_the_table_is_printed_in_the_order_of_history(monkeypatch, capsys, fake_rows):
  status, out, err = run(monkeypatch, capsys)
  assert status == 0 and err == ''
  lines = out.splitlines()
  assert [line.split()[0] for line in lines[1 : len(models.NAMES) + 1]] == list(models.NAMES)
  assert lines[0].split()[:3] == ['model', 'parameters', 'multiply-adds']
  assert 'table 6' in next(line for line in lines if line.startswith('resnet20 '))
  assert table.CONVENTIONS in out


@pytest.mark.parametrize('by', table.SORTS)
def test_sorted_the_values_rise(monkeypatch, capsys, fake_rows, by):
  status, out, _ = run(monkeypatch, capsys, '--family', 'wide_resnet', '--sort', by, '--json', '-')
  rows = json.loads(out)
  assert status == 0 and {row['family'] for row in rows} == {'wide_resnet'}
  assert len(rows) == len(table.FAMILIES['wide_resnet'].NAMES)
  if by == 'error':
    values = [row['published'] and row['published']['cifar10'] for row in rows]
    known = [value for value in values if value is not None]
    assert values == sorted(known) + [None] * (len(values) - len(known))
  else:
    values = [row[table.SORTS[by]] for row in rows]
    assert values == sorted(values)


def test_json_goes_to_a_file_beside_the_table(monkeypatch, capsys, fake_rows, tmp_path):
  path = tmp_path / 'table.json'
  status, out, _ = run(monkeypatch, capsys, '--family', 'resnext', '--json', path)
  assert status == 0 and out.startswith('model')
  rows = json.loads(path.read_text())
  assert rows == [fake_row(name) for name in table.FAMILIES['resnext'].NAMES]


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
    (['resnet20'], ['resnet20']),
  ],
)
def test_bad_arguments_are_one_line(monkeypatch, capsys, fake_rows, tmp_path, arguments, words):
  monkeypatch.chdir(tmp_path)
  status, _, err = run(monkeypatch, capsys, *arguments)
  assert status == 2 and err.count('\n') == 1 and all(word in err for word in words), err
  assert list(tmp_path.iterdir()) == []


def test_the_command_draws_a_whole_png(monkeypatch, capsys, fake_rows, tmp_path):
  path = tmp_path / 'table.png'
  status, _, err = run(monkeypatch, capsys, '--family', 'pyramidnet', '--plot', path)
  assert status == 0, err
  png = path.read_bytes()
  assert png.startswith(b'\x89PNG') and png.endswith(b'IEND\xaeB`\x82')
  assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('dataset', model_table.DATASETS)
def test_the_picture_holds_every_published_model(dataset):
  rows = [fake_row(name) for name in models.NAMES]
  known = [row for row in rows if row['published'] and row['published'][dataset] is not None]
  axes = model_table.figure(rows, dataset).axes[0]
  circles = {c.get_label(): c for c in axes.collections if len(c.get_offsets())}
  assert set(circles) == {row['name'] for row in known}
  for row in known:
    circle = circles[row['name']]
    point = [row['multiply_adds'], row['published'][dataset]]
    assert circle.get_offsets().tolist() == [point]
  areas = {circles[row['name']].get_sizes()[0] / row['num_params'] for row in known}
  assert max(areas) - min(areas) < 1e-9  # as the parameters
  assert axes.get_xscale() == 'log'


def test_labels_are_short_and_tell_models_apart():
  rows = [fake_row(name) for name in models.NAMES if table.family(name) == 'pyramidnet']
  texts = [model_table.label_text(rows, row) for row in rows]
  assert '272_a200' in texts and '110_mul_27' in texts and len(set(texts)) == len(texts)


def test_labels_lie_on_no_label_and_nowhere_outside():
  circles = [labels.Circle(100 + 7 * (i % 6), 100 + 5 * (i // 6), 4) for i in range(24)]
  within = labels.Box(0, 0, 400, 300)
  boxes = labels.place(circles, [(40, 10)] * 24, within)
  assert all(within.holds(box) for box in boxes)
  assert not any(a.meets(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_label_alone_stands_to_the_right():
  (box,) = labels.place([labels.Circle(50, 50, 5)], [(20, 10)], labels.Box(0, 0, 100, 100))
  assert box == labels.Box(56, 45, 76, 55)


def test_nothing_published_is_said():
  with pytest.raises(InputError, match='none of these models'):
    model_table.figure([fake_row('wrn_22_1')], 'imagenet')
