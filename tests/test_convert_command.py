"""`python -m cifar_jax.convert`: there and back, and one line for bad input."""

import json
import pathlib
import sys

import jax
import numpy as np
import pytest
from data import fill

from cifar_jax import command, convert, models
from cifar_jax.convert import __main__ as convert_command
from cifar_jax.convert import files

NAMES = json.loads((pathlib.Path(__file__).parent / 'data' / 'torch_names.json').read_text())
THEIRS = NAMES['pytorchcv resnet']


def run(monkeypatch, capsys, *arguments):
  monkeypatch.setattr(sys, 'argv', ['convert', *map(str, arguments)])
  with pytest.raises(SystemExit) as exit_:
    command.run(convert_command.main)
  return exit_.value.code or 0, capsys.readouterr()


def test_the_command_there_and_back(tmp_path, monkeypatch, capsys):
  state_dict = {name: fill.array('bias', tuple(shape)) for name, shape in THEIRS.items()}
  theirs, ours = tmp_path / 'theirs.safetensors', tmp_path / 'ours.safetensors'
  files.write(theirs, state_dict, {})
  options = ('--model', 'resnet8', '--fields', 'shortcut=project', '--rules', 'pytorchcv')
  assert run(monkeypatch, capsys, theirs, *options, '--out', ours)[0] == 0
  model = models.create('resnet8', shortcut='project')
  variables = convert.to_variables(ours, model)
  expected = convert.to_variables(state_dict, model, 'pytorchcv')
  jax.tree.map(np.testing.assert_array_equal, variables, expected)
  status, told = run(monkeypatch, capsys, ours, *options, '--out', tmp_path / 'new', '--to-torch')
  assert status == 0 and 'resnet8_pytorchcv.safetensors' in told.out
  back = files.read(tmp_path / 'new' / 'resnet8_pytorchcv.safetensors')
  for name, array in state_dict.items():
    np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
  ('file', 'options', 'words'),
  [
    ('absent', [], ['no file', 'absent']),
    ('cut', [], ['cut', 'no whole safetensors file']),
    ('pickle', [], ['pickle', 'no whole safetensors file']),
    ('whole', ['--rules', 'pytorchcv'], ['0 of 37 arrays match', '37 missing', '37 without']),
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
  file, options, words, tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  model = models.create('resnet8')
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape), models.abstract_variables(model))
  files.write(pathlib.Path('whole.safetensors'), convert.to_state_dict(zeros, model), {})
  whole = pathlib.Path('whole.safetensors').read_bytes()
  pathlib.Path('cut.safetensors').write_bytes(whole[:-100])
  pathlib.Path('pickle.safetensors').write_bytes(b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.' * 9)
  before = {path.name: path.read_bytes() for path in pathlib.Path().iterdir()}
  defaults = ['--model', 'resnet8', '--out', 'new']
  status, told = run(monkeypatch, capsys, f'{file}.safetensors', *defaults, *options)
  assert status == 2 and told.err.count('\n') == 1 and told.err.startswith('cifar_jax: '), told.err
  assert all(word in told.err for word in words), told.err
  assert {path.name: path.read_bytes() for path in pathlib.Path().iterdir()} == before
