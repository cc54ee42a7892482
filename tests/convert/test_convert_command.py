"""`python -m cifar_jax.convert`: both directions, and one line for bad input."""

import json
import pathlib
import sys

import jax
import numpy as np
import pytest

from cifar_jax import cli, models
from cifar_jax.convert import __main__, engine, files
from cifar_jax.evaluation import restore
from tests.support import fake_run, fill
from tests.support.filled import filled_variables
from tests.support.paths import REFERENCE

PUBLIC_SHAPES = json.loads((REFERENCE / 'torch_names.json').read_text())['pytorchcv resnet']


def run(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | pathlib.Path
) -> tuple[int, str, str]:
  """Runs the command; returns its exit status, output and errors."""
  monkeypatch.setattr(sys, 'argv', ['convert', *map(str, words)])
  with pytest.raises(SystemExit) as exit_:
    cli.run(__main__.main)
  output, errors = capsys.readouterr()
  return int(exit_.value.code or 0), output, errors


def test_the_command_converts_in_both_directions(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  state_dict = {  # no negative variances
    name: np.abs(fill.array('bias', tuple(shape))) for name, shape in PUBLIC_SHAPES.items()
  }
  public, ours = tmp_path / 'public.safetensors', tmp_path / 'ours.safetensors'
  files.write(public, state_dict, {})
  options = ('--model', 'resnet8', '--fields', 'shortcut=project', '--rules', 'pytorchcv')
  status, _, errors = run(monkeypatch, capsys, public, *options, '--out', ours)
  assert status == 0, errors
  model = models.create('resnet8', shortcut='project')
  variables = engine.to_variables(ours, model)
  expected = engine.to_variables(state_dict, model, 'pytorchcv')
  jax.tree.map(np.testing.assert_array_equal, variables, expected)
  back_options = ('--out', tmp_path / 'new', '--to-torch')
  status, output, _ = run(monkeypatch, capsys, ours, *options, *back_options)
  assert status == 0 and 'resnet8_pytorchcv.safetensors' in output
  back = files.read(tmp_path / 'new' / 'resnet8_pytorchcv.safetensors')
  for name, array in state_dict.items():
    np.testing.assert_array_equal(back[name], array)


def test_the_weights_of_a_run_are_written_under_the_names_of_a_zoo(
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  work = fake_run.make(tmp_path / 'work', tiny_cifar)
  options = ('--rules', 'akamaster', '--out', tmp_path / 'new')
  status, output, errors = run(monkeypatch, capsys, work, '--checkpoint', 'best', *options)
  assert status == 0 and 'resnet8_akamaster.safetensors' in output, errors
  model = models.create('resnet8')
  arrays = files.read(tmp_path / 'new' / 'resnet8_akamaster.safetensors')
  expected = engine.to_state_dict(filled_variables(model), model, 'akamaster')
  assert 'layer3.0.bn2.num_batches_tracked' in arrays and arrays['linear.weight'].shape == (10, 64)
  assert set(arrays) == set(expected)
  for name, array in expected.items():
    np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize(
  ('file', 'options', 'words'),
  [
    ('absent', [], ['no file', 'absent']),
    ('cut', [], ['cut', 'not a complete safetensors file']),
    ('pickle', [], ['pickle', 'not a complete safetensors file']),
    ('whole', ['--rules', 'pytorchcv'], ['0 of 37 arrays match', '37 missing', '37 unknown']),
    ('whole', ['--rules', 'timm'], ['timm', 'pytorchcv', 'torchvision']),
    ('whole', ['--rules', 'torchvision', '--model', 'wrn_10_1'], ['wide_resnet', 'densenet']),
    ('whole', ['--fields', 'shortcut=b'], ['shortcut', 'project']),
    ('whole', ['--fields', 'short=b'], ['short', 'num_classes']),
    ('whole', ['--fields', 'num_classes=100'], ['2 of another shape', '[10, 64], not [100, 64]']),
    ('whole', ['--model', 'resnet9'], ['6n + 2', '9']),
    ('whole', ['--out', 'whole.safetensors'], ['whole.safetensors', 'to be converted']),
    ('whole', ['--out', 'cut.safetensors/x.safetensors'], ['cannot write']),
  ],
)
def test_bad_input_is_one_line_and_changes_nothing(
  file: pathlib.Path,
  options: list[str],
  words: list[str],
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  monkeypatch.chdir(tmp_path)
  model = models.create('resnet8')
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape), models.abstract_variables(model))
  files.write(pathlib.Path('whole.safetensors'), engine.to_state_dict(zeros, model), {})
  whole = pathlib.Path('whole.safetensors').read_bytes()
  pathlib.Path('cut.safetensors').write_bytes(whole[:-100])
  pathlib.Path('pickle.safetensors').write_bytes(b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.' * 9)
  before = {path.name: path.read_bytes() for path in pathlib.Path().iterdir()}
  defaults = ['--model', 'resnet8', '--out', 'new']
  status, _, message = run(monkeypatch, capsys, f'{file}.safetensors', *defaults, *options)
  assert status == 2 and message.count('\n') == 1 and message.startswith('cifar_jax: '), message
  assert all(word in message for word in words), message
  assert {path.name: path.read_bytes() for path in pathlib.Path().iterdir()} == before


def test_a_net_that_multiplies_its_branches_goes_to_no_zoo(
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  work = fake_run.make(tmp_path / 'work', tiny_cifar, 'model.survival_probability=0.5')
  out = ('--out', tmp_path / 'new')
  status, _, errors = run(monkeypatch, capsys, work, '--rules', 'torchvision', *out)
  assert status == 2 and 'model.survival_probability' in errors
  assert not (tmp_path / 'new').exists()
  status, _, errors = run(monkeypatch, capsys, work, *out)
  assert status == 0, errors
  about = files.metadata(tmp_path / 'new' / 'resnet8_own.safetensors')
  assert about['model'] == 'resnet8' and about['fields'] == 'survival_probability=0.5'


def test_a_file_says_how_the_images_of_its_run_are_normalised(
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  work = fake_run.make(tmp_path / 'work', tiny_cifar)
  own, named = tmp_path / 'own.safetensors', tmp_path / 'named.safetensors'
  status, printed, errors = run(monkeypatch, capsys, work, '--out', own)
  assert status == 0, errors
  about = files.metadata(own)
  dataset = restore.restore_net(work, 'last', []).experiment.dataset
  assert about['run'] == 'work' and about['step'] == '3'
  assert tuple(json.loads(about['mean'])) == dataset.mean
  assert tuple(json.loads(about['std'])) == dataset.std
  assert tuple(json.loads(about['classes'])) == dataset.class_names
  assert all(f'{value:.4f}' in printed for value in (*dataset.mean, *dataset.std))
  options = ('--model', 'resnet8', '--rules', 'akamaster', '--to-torch', '--out', named)
  status, _, errors = run(monkeypatch, capsys, own, *options)
  assert status == 0, errors
  assert files.metadata(named) == about


@pytest.mark.parametrize(
  ('model', 'fields', 'status'),
  [
    ('resnet8', 'shortcut=project', 0),
    ('resnet8', 'shortcut=project,survival_probability=0.5', 2),
    ('plain8', '', 2),
  ],
)
def test_a_file_that_says_which_net_it_is_of_is_of_no_other(
  model: str,
  fields: str,
  status: int,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  net = models.create('resnet8', shortcut='project')
  file = tmp_path / 'own.safetensors'
  about = {'model': 'resnet8', 'fields': 'shortcut=project'}
  files.write(file, engine.to_state_dict(filled_variables(net), net), about)
  words = ('--model', model, '--fields', fields, '--rules', 'torchvision', '--to-torch')
  ended, _, errors = run(monkeypatch, capsys, file, *words, '--out', tmp_path / 'new')
  assert ended == status, errors
  assert ('give --model resnet8 --fields shortcut=project' in errors) == (status == 2)
