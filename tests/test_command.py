"""Bad input: one line, exit status 2, no traceback, and nothing changed on disk."""

import logging
import os
import pathlib
import subprocess
import sys

import pytest

from cifar_jax import command, config, evaluate, main, workdir

ROOT = pathlib.Path(__file__).parent.parent
RESNET = str(ROOT / 'configs/resnet.py')
PYRAMIDNET = str(ROOT / 'configs/pyramidnet.py')

# What is typed after `python -m cifar_jax.main`, and what the line must say.
BAD_INPUT = {
  'no arguments': ([], ['--config']),
  'no such config': (['--config', 'configs/resnt.py'], ['configs/resnt.py']),
  'argument misspelt': (['--config', f'{RESNET}:dept=20'], ['dept', 'depth']),
  'argument without value': (['--config', f'{RESNET}:depth'], ['depth', 'NAME=VALUE']),
  'argument of wrong type': (['--config', f'{RESNET}:depth=deep'], ['depth', 'deep', 'int']),
  'argument not allowed': (['--config', f'{PYRAMIDNET}:block=wide'], ['wide', 'bottleneck']),
  'depth 111': (['--config', f'{PYRAMIDNET}:depth=111'], ['111', '6n + 2', '110']),
  'key misspelt': (['--config', RESNET, '--config.optimizer.weight_decy=0'], ['weight_decay']),
  'section misspelt': (['--config', RESNET, '--config.optimiser.momentum=0'], ['optimizer']),
  'section assigned': (['--config', RESNET, '--config.optimizer=sgd'], ['section', 'momentum']),
  'key of wrong type': (['--config', RESNET, '--config.train.batch_size=big'], ['big', 'int']),
  'flag unknown': (['--config', RESNET, '--workdr=x'], ['--workdr=x']),
  'batch 0': (['--config', RESNET, '--config.train.batch_size=0'], ['batch_size', '0']),
  'epochs 0': (['--config', f'{RESNET}:epochs=0'], ['num_epochs', '0']),
  'more devices than there are': (
    ['--config', RESNET, '--config.sharding.num_devices=9'], ['num_devices', '9', '8'],
  ),
  'batch not divisible': (
    ['--config', RESNET, '--config.train.batch_size=12', '--config.sharding.num_devices=8'],
    ['batch_size', '12', '8'],
  ),
  'batch of more than all images': (
    ['--config', RESNET, '--config.train.batch_size=1024'], ['1024', '200'],
  ),
  'unknown model': (['--config', RESNET, '--config.model.name=resnet_20'], ['resnet20']),
  'unknown dtype': (['--config', RESNET, '--config.model.dtype=float8'], ['float8', 'bfloat16']),
  'unknown schedule': (['--config', RESNET, '--config.schedule.name=step'], ['piecewise']),
  'warm-up longer than the run': (
    ['--config', f'{RESNET}:epochs=2', '--config.schedule.warmup_epochs=5'], ['warmup_epochs'],
  ),
  'negative smoothing': (
    ['--config', RESNET, '--config.loss.label_smoothing=-1'], ['label_smoothing'],
  ),
  'no survival': (
    ['--config', RESNET, '--config.model.survival_probability=2'], ['survival_probability'],
  ),
  'no such data set': (['--config', RESNET, '--config.data.name=cifar11'], ['cifar11', 'cifar10']),
  'no such data directory': (['--config', RESNET, '--config.data.data_dir=/nowhere'], ['/nowhere']),
  'nothing left to train on': (
    ['--config', RESNET, '--config.data.validation_size=240'], ['validation_size', '240'],
  ),
  'too many images asked for': (
    ['--config', RESNET, '--config.data.images_per_class=99'], ['images_per_class', '99'],
  ),
  'keep no checkpoint': (['--config', RESNET, '--config.checkpoint.keep_last=0'], ['keep_last']),
  'workdir is a file': (['--config', RESNET, '--workdir', 'FILE'], ['FILE', 'directory']),
  'workdir holds something else': (['--config', RESNET, '--workdir', 'OTHER'], ['OTHER', 'no run']),
  'workdir holds another run': (
    ['--config', RESNET, '--workdir', 'RUN', '--config.seed=5'], ['seed was 0 and is now 5'],
  ),
  'seed out of range': (['--config', RESNET, '--config.seed=4294967296'], ['seed', '4294967296']),
  'weight decay that is no number': (
    ['--config', RESNET, '--config.optimizer.weight_decay=nan'], ['weight_decay', 'nan'],
  ),
  'images that do not halve twice': (
    ['--config', RESNET, '--config.data.image_size=30'], ['30x30', 'image_size'],
  ),
  'workdir with a config that is no object': (['--config', RESNET, '--workdir', 'LIST'], ['LIST']),
  'workdir with a torn config': (['--config', RESNET, '--workdir', 'TORN'], ['config.json']),
}  # fmt: skip


def snapshot(root: pathlib.Path) -> dict[str, bytes | None]:
  return {str(p): p.read_bytes() if p.is_file() else None for p in sorted(root.rglob('*'))}


@pytest.fixture
def place(tmp_path, monkeypatch):
  """A folder with workdirs of every wrong kind, which is the current one."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'FILE').write_text('text')
  (tmp_path / 'OTHER').mkdir()
  (tmp_path / 'OTHER' / 'thesis.tex').write_text('text')
  with workdir.claimed(tmp_path / 'RUN', config.load(RESNET)):
    pass
  (tmp_path / 'LIST').mkdir()
  (tmp_path / 'LIST' / 'config.json').write_text('[1]')
  (tmp_path / 'TORN').mkdir()
  (tmp_path / 'TORN' / 'config.json').write_text('{"seed": 0,')
  return tmp_path


@pytest.fixture(autouse=True)
def own_logger():
  """Takes back what a command does to the program's logger."""
  logger = logging.getLogger('cifar_jax')
  handlers, propagate = list(logger.handlers), logger.propagate
  yield
  logger.handlers, logger.propagate = handlers, propagate


def run(monkeypatch, capsys, function, arguments):
  """Exit status and standard error of a command, run in this process."""
  monkeypatch.setattr(sys, 'argv', ['cifar_jax', *arguments])
  with pytest.raises(SystemExit) as exit_:
    command.run(function)
  return exit_.value.code, capsys.readouterr().err


@pytest.mark.parametrize('case', BAD_INPUT)
def test_bad_input_is_one_line_and_changes_nothing(case, place, tiny_cifar, monkeypatch, capsys):
  arguments, words = BAD_INPUT[case]
  if not any('data_dir' in argument for argument in arguments) and arguments:
    arguments = [
      *arguments,
      f'--config.data.data_dir={tiny_cifar}',
      *([] if 'validation' in case or 'nothing' in case else ['--config.data.validation_size=40']),
    ]
  before = snapshot(place)
  status, err = run(monkeypatch, capsys, main.main, arguments)
  assert status == 2
  # The first to read the fixture's small files says that it does, and that they are few.
  lines = [x for x in err.splitlines() if not x.startswith(('Reading ', 'cifar10: 240 of'))]
  assert lines[0].startswith('cifar_jax: '), err
  assert len(lines) == 1, err
  assert 'Traceback' not in err
  assert all(word in err for word in words), err
  assert snapshot(place) == before


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ([], ['--workdir']),
    (['--workdir', 'nowhere'], ['nowhere', 'no run']),
    (['--workdir', 'RUN'], ['RUN', 'no checkpoint']),
    (['--workdir', 'RUN', '--split', 'val'], ['val', 'validation']),
    (['--workdir', 'RUN', '--checkpoint', 'first'], ['first', 'best']),
    (['--workdir', 'RUN', '--config.modl.name=x'], ['modl', 'model']),
    (['--workdir', 'RUN', '--config.data.seed=3'], ['data.seed was 0 and is now 3']),
  ],
)
def test_bad_input_to_evaluation(arguments, words, place, monkeypatch, capsys):
  before = snapshot(place)
  status, err = run(monkeypatch, capsys, evaluate.main, arguments)
  assert status == 2 and err.count('\n') == 1 and all(word in err for word in words), err
  assert snapshot(place) == before


def test_a_real_process_says_one_line_and_exits_with_two(tmp_path):
  done = subprocess.run(
    [sys.executable, '-m', 'cifar_jax.main', '--config', f'{PYRAMIDNET}:depth=111'],
    cwd=tmp_path, capture_output=True, text=True, env=os.environ | {'PYTHONPATH': str(ROOT)},
  )  # fmt: skip
  assert done.returncode == 2 and done.stdout == ''
  assert done.stderr.count('\n') == 1 and '111' in done.stderr
  assert list(tmp_path.iterdir()) == []


def test_help_imports_neither_jax_nor_tensorflow(tmp_path):
  code = (
    'import runpy, sys\n'
    'sys.argv = ["main", "--help"]\n'
    'try: runpy.run_module("cifar_jax.main", run_name="__main__")\n'
    'except SystemExit as e: assert e.code == 0\n'
    'heavy = {"jax", "flax", "numpy", "tensorflow", "matplotlib"} & set(sys.modules)\n'
    'assert not heavy, heavy\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert '--config' in done.stdout
