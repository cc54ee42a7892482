"""The commands of the analyses, on a small run."""

import importlib
import json
import sys

import pytest

from cifar_jax import config, train
from cifar_jax.errors import InputError

NAMES = (
  *('lesion', 'path_length', 'branch_correlation', 'complexity', 'activations', 'landscape'),
)


@pytest.fixture(scope='module')
def run(tiny_cifar, tmp_path_factory):
  """A Shake-Shake net after an epoch."""
  settings = config.base('shake_shake_8_2x4d', 'cifar10')
  settings.data.update(data_dir=str(tiny_cifar), validation_size=40)
  settings.train.update(batch_size=40, num_epochs=1)
  settings.sharding.num_devices = 1
  workdir = tmp_path_factory.mktemp('runs') / 'shaken'
  train.run(settings, workdir)
  return workdir


def start(monkeypatch, name, *words):
  monkeypatch.setattr(sys, 'argv', [name, *map(str, words)])
  importlib.import_module(f'cifar_jax.analysis.{name}').main()


@pytest.mark.parametrize('name', NAMES)
def test_each_leaves_a_file_and_a_picture_and_prints_a_table(name, run, monkeypatch, capsys):
  few = {'lesion': ('--draws', 1), 'path_length': ('--draws', 1), 'landscape': ('--points', 3)}
  start(monkeypatch, name, '--workdir', run, *few.get(name, ()))
  told = json.loads((run / 'analysis' / f'{name}.json').read_text())
  assert told['analysis'] == name and told['model'] == 'shake_shake_8_2x4d'
  assert told['num_images'] in (40, 48) and told['provenance']['versions']['jax']
  assert (run / 'analysis' / f'{name}.png').read_bytes().startswith(b'\x89PNG')
  assert 'shake_shake_8_2x4d' in capsys.readouterr().out


def test_several_runs_share_a_picture_where_one_is_asked_for(run, monkeypatch, tmp_path):
  picture = tmp_path / 'both.png'
  words = ('--workdir', run, run, '--picture', picture, '--num-images', 8)
  start(monkeypatch, 'branch_correlation', *words)
  assert picture.read_bytes().startswith(b'\x89PNG')
  numbers = json.loads(picture.with_suffix('.json').read_text())
  assert [told['run'] for told in numbers] == ['shaken'] * 2


def test_a_net_to_itself_has_a_flat_landscape(run, monkeypatch):
  start(monkeypatch, 'landscape', '--workdir', run, '--to', run, '--points', 2)
  first, last = json.loads((run / 'analysis' / 'landscape.json').read_text())['points']
  assert first['loss'] == pytest.approx(last['loss']) and first['position'] != last['position']


@pytest.mark.parametrize(
  'words,complaint',
  [
    (('--split', 'tset'), 'invalid choice'),
    (('--num-images', '0'), 'not at least 1'),
    (('--config.model.depth=3',), 'model'),
    (('--drwas', '1'), 'drwas'),
    (('--picture', 'lesions.json'), 'PNG'),
  ],
)
def test_what_it_cannot_do_it_says_in_one_line(run, monkeypatch, words, complaint):
  with pytest.raises(InputError, match=complaint) as info:
    start(monkeypatch, 'lesion', '--workdir', run, *words)
  assert '\n' not in str(info.value)
