"""A user's own module: a run is trained with it, finds it again, and executes no one else's."""

import functools
import hashlib
import json
import logging
import pathlib
import shutil
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cifar_jax
from cifar_jax import cli, evaluate, models, predict
from cifar_jax.analysis import activations, complexity
from cifar_jax.config import base, load, override
from cifar_jax.evaluation import restore
from cifar_jax.models import families, own_module, own_net, registry
from cifar_jax.training import session, start
from tests.support.fake_cifar import message

# A net of Flax's layers and a configuration, in one file.
OWN = """
import flax.linen as nn

from cifar_jax import models
from cifar_jax.config import base


@models.register('plain_flax')
class PlainFlax(nn.Module):
  num_classes: int = 10
  width: int = 8

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.Conv(self.width, (3, 3), strides=4, name='conv1')(images)
    x = nn.relu(nn.BatchNorm(use_running_average=not train, name='norm1')(x))
    x = nn.Dropout(0.1, deterministic=not train)(x)
    return nn.Dense(self.num_classes, name='head')(x.mean(axis=(1, 2)))


def get_config():
  config = base('plain_flax')
  config.model.width = 6
  return config
"""
Forget = Callable[[], None]


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Forget:
  """A function that forgets all own families, as another process would."""
  assert registry.FAMILIES

  def forget_own() -> None:
    own = families.own()
    rest = {key: family for key, family in families._registered.items() if family not in own}
    monkeypatch.setattr(families, '_registered', rest)

  forget_own()
  return forget_own


@pytest.fixture(scope='module')
def place(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A folder with `own.py`, a run `run` that was trained with it, and the list `list`."""
  folder = tmp_path_factory.mktemp('place')
  (folder / 'own.py').write_text(OWN)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(own_module, 'LIST', str(folder / 'list'))
    patch.setattr(session, 'report_run', lambda *_: None)
    config = load(str(folder / 'own.py'))
    override(config, [f'--config.{word}' for word in (
      f'data.data_dir={tiny_cifar}', 'data.validation_size=40', 'train.batch_size=20',
      'train.num_epochs=1', 'sharding.num_devices=1',
    )])  # fmt: skip
    assert session.run(config, folder / 'run') == 0
  return folder


@pytest.fixture(autouse=True)
def known(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
  """The list of the modules that the user has trained with."""
  monkeypatch.setattr(own_module, 'LIST', str(place / 'list'))
  return place / 'list'


@pytest.mark.ci
def test_the_run_says_where_its_module_is(place: pathlib.Path) -> None:
  own = str(place / 'own.py')
  config = json.loads((place / 'run' / 'config.json').read_text())
  assert config['model'] == {'name': 'plain_flax', 'dtype': 'float32', 'module': own, 'width': 6}
  sha256 = hashlib.sha256(OWN.encode()).hexdigest()
  assert (place / 'list').read_text().splitlines() == [f'{sha256} {own}']
  result = json.loads((place / 'run' / 'result.json').read_text())
  model, family = models.create(**config['model']), models.own_family('plain_flax')
  assert family
  assert result['own_net'] == own_net.describe(own_net.OwnNet(family, model, (32, 32, 3)))


def test_a_link_to_a_known_module_runs_nothing_beside_the_link(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  mine, strange = tmp_path / 'mine', tmp_path / 'strange'
  for folder, content in ((mine, 'KIND = "mine"'), (strange, 'raise SystemExit("strange code")')):
    folder.mkdir()
    (folder / 'net_layers.py').write_text(content)
  (mine / 'net.py').write_text('import net_layers, sys\nsys.kind_of_net_layers = net_layers.KIND')
  (strange / 'net.py').symlink_to(mine / 'net.py')
  monkeypatch.setattr(own_module, 'LIST', str(tmp_path / 'list'))
  monkeypatch.setattr('sys.kind_of_net_layers', None, raising=False)
  own_module.note(str(mine / 'net.py'))
  own_module.check_permitted(str(strange / 'net.py'), 'net', strange)
  own_module.load(str(strange / 'net.py'))
  assert vars(sys)['kind_of_net_layers'] == 'mine'


def test_a_run_of_a_net_of_the_package_names_no_module(known: pathlib.Path) -> None:
  assert {models.module_of(name) for name in models.NAMES} == {''}
  config, before = base('resnet20'), known.read_text()
  start.record_own_module(config)
  assert config.model.module == '' and known.read_text() == before


@pytest.mark.ci
def test_another_process_evaluates_predicts_and_analyses_it(
  place: pathlib.Path,
  forget: Forget,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  import PIL.Image

  PIL.Image.new('RGB', (40, 40), 'red').save(place / 'red.png')
  options = ['--workdir', str(place / 'run')]
  commands: list[tuple[Any, list[str]]] = [
    (evaluate.main, []),
    (predict.main, [str(place / 'red.png')]),
    (activations.main, ['--num-images', '20']),
    (complexity.main, ['--num-images', '20']),
  ]
  for main, more in commands:
    forget()
    monkeypatch.setattr('sys.argv', ['command', *options, *more])
    main()
  out = capsys.readouterr().out
  assert all(word in out for word in ('plain_flax', 'red.png', 'conv1', 'multiply-adds'))
  forget()
  run = cifar_jax.load_run(place / 'run')
  logits: Any = run.model.apply(run.variables, np.zeros((2, 32, 32, 3), np.float32), train=False)
  assert logits.shape == (2, 10) and type(run.model).__name__ == 'PlainFlax'
  assert 'residual' in message(lambda: run.lesion(num_images=20))  # it has no gates


def test_the_same_command_goes_on_with_the_run(
  place: pathlib.Path, forget: Forget, no_pictures: None
) -> None:
  (place / 'elsewhere').mkdir()
  shutil.copy(place / 'own.py', place / 'elsewhere' / 'own.py')
  config = load(str(place / 'elsewhere' / 'own.py'))
  stored = json.loads((place / 'run' / 'config.json').read_text())
  override(config, [
    f'--config.{section}.{key}={stored[section][key]}'
    for section, key in (('data', 'data_dir'), ('data', 'validation_size'),
                         ('train', 'batch_size'), ('train', 'num_epochs'))
  ])  # fmt: skip
  assert session.run(config, place / 'run') == 0  # only the place of the module is another


def stranger(place: pathlib.Path, folder: pathlib.Path, module: str) -> pathlib.Path:
  """A copy of the run that names another module, which leaves a file where it is executed."""
  run = folder / 'run'
  shutil.copytree(place / 'run', run)
  config = json.loads((run / 'config.json').read_text())
  config['model']['module'] = module
  (run / 'config.json').write_text(json.dumps(config))
  code = f'open({str(folder / "executed")!r}, "w").close()\n{OWN}'
  (folder / 'evil.py').write_text(code)
  (run / 'evil.py').write_text(code)
  return run


@pytest.mark.parametrize('module', ['FOLDER/evil.py', 'FOLDER/run/evil.py', 'evil', 'run.evil'])
def test_a_module_that_the_user_has_not_trained_with_is_never_executed_unasked(
  module: str, place: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  module = module.replace('FOLDER', str(tmp_path))
  run = stranger(place, tmp_path, module)
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend('')  # as `python -m` does
  text = message(lambda: restore.restore_net(run, 'last', []))
  assert module in text and '--config.model.module=FILE.py' in text and 'read it' in text
  assert not (tmp_path / 'executed').exists()
  net = restore.restore_net(run, 'last', ['--config.model.module=evil.py'])  # now it is asked for
  assert (tmp_path / 'executed').exists() and type(net.experiment.model).__name__ == 'PlainFlax'


def test_a_module_that_changed_since_the_training_is_run_after_a_warning(
  place: pathlib.Path, tmp_path: pathlib.Path, forget: Forget, caplog: pytest.LogCaptureFixture
) -> None:
  own = tmp_path / 'own.py'
  own.write_text(OWN)
  own_module.note(str(own))
  run = stranger(place, tmp_path, str(own))
  restore.restore_net(run, 'last', [])
  forget()
  assert not caplog.messages
  own.write_text(f'{OWN}raise ValueError("executed")')
  text = message(lambda: restore.restore_net(run, 'last', []))
  assert 'ValueError: executed' in text
  [line] = caplog.messages  # so it was logged before the module was executed
  assert f'{own} is not as it was when you trained with it on this machine' in line
  own_module.note(str(own))  # as a training with the changed module does
  for content in (own.read_text(), OWN):
    own.write_text(content)
    own_module.check_permitted(str(own), 'plain_flax', run)
  assert caplog.messages == [line]


def test_a_family_that_is_registered_already_needs_no_module(
  place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = stranger(place, tmp_path, str(tmp_path / 'evil.py'))
  load(str(place / 'own.py'))
  restore.restore_net(run, 'last', [])
  assert not (tmp_path / 'executed').exists()


def test_a_module_that_is_gone_or_fails_is_one_line(
  place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = stranger(place, tmp_path, '')
  assert 'notebook' in message(lambda: restore.restore_net(run, 'last', []))
  (tmp_path / 'fails.py').write_text('1 / 0')
  for module, words in (
    (tmp_path / 'gone.py', ['no module', 'gone.py']),
    (tmp_path / 'fails.py', ['fails.py', 'ZeroDivisionError']),
    ('no_such_package.module', ['no_such_package', 'ModuleNotFoundError']),
  ):
    text = message(functools.partial(models.create, 'plain_flax', module=str(module)))
    assert all(word in text for word in words), text


def test_a_fault_of_an_own_net_is_one_line_with_its_place(
  tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
  faulty = OWN.replace("'plain_flax'", "'faulty'").replace('x.mean(', 'x @ x.mean(')
  (tmp_path / 'faulty.py').write_text(faulty)

  def command() -> None:
    models.abstract_variables(models.create('faulty', module=str(tmp_path / 'faulty.py')))

  with pytest.raises(SystemExit) as ending:
    cli.run(command)
  line = 1 + faulty.splitlines().index(
    "    return nn.Dense(self.num_classes, name='head')(x @ x.mean(axis=(1, 2)))"
  )
  start = f'cifar_jax: {tmp_path}/faulty.py, line {line}, in __call__: TypeError: '
  err = capsys.readouterr().err
  assert ending.value.code == cli.BAD_INPUT and err.startswith(start) and err.count('\n') == 1


def test_a_changed_module_is_a_warning(
  place: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  run = stranger(place, tmp_path, '')
  changed = tmp_path / 'changed.py'
  with caplog.at_level(logging.WARNING, own_net.logger.name):
    changed.write_text(f'{OWN}# a comment\n')
    restore.restore_net(run, 'last', [f'--config.model.module={changed}'])
    assert not caplog.messages
    changed.write_text(OWN.replace('nn.relu', 'nn.gelu'))
    own_module.load(str(changed))
    restore.restore_net(run, 'last', [])
  [line] = caplog.messages
  assert 'the code of the net has changed' in line and str(changed) in line


NET = """
import flax.linen as nn
from cifar_jax import models


@models.register('my_net')
class MyNet(nn.Module):
  num_classes: int = 10
  kind = {kind!r}

  @nn.compact
  def __call__(self, images, *, train):
    return nn.Dense(self.num_classes, name='head')(images.mean(axis=(1, 2)))
"""


def test_a_module_that_is_given_comes_before_another_with_the_same_name(
  tmp_path: pathlib.Path, forget: Forget
) -> None:
  first, second = tmp_path / 'a' / 'net.py', tmp_path / 'b' / 'net.py'
  for file, kind in ((first, 'a'), (second, 'b')):
    file.parent.mkdir()
    file.write_text(NET.format(kind=kind))

  def kind_of(file: pathlib.Path) -> Any:
    return vars(type(models.create('my_net', module=str(file))))['kind']

  assert [kind_of(file) for file in (first, second, first)] == ['a', 'b', 'a']
  assert type(models.create('my_net')) is type(models.create('my_net', module=str(first)))
  config = base('my_net')
  config.model.module = str(second)
  start.record_own_module(config)
  assert config.model.module == str(second)
  first.write_text(NET.format(kind='changed'))  # between two trainings of a notebook
  assert kind_of(tmp_path / 'gone' / 'net.py') == 'b'
  assert kind_of(first) == 'changed'


def test_a_module_is_run_again_if_what_it_imports_has_changed_or_is_another(
  tmp_path: pathlib.Path, forget: Forget
) -> None:
  net, blocks = tmp_path / 'net.py', tmp_path / 'blocks_of_net.py'
  net.write_text(f'from blocks_of_net import KIND\n{NET}'.format(kind='').replace("''", 'KIND'))
  copy = tmp_path / 'copy'
  copy.mkdir()
  shutil.copy(net, copy)
  (copy / blocks.name).write_text('KIND = "copied"')

  def create(file: pathlib.Path) -> type:
    return type(models.create('my_net', module=str(file)))

  blocks.write_text('KIND = "a"')
  first = create(net)
  assert create(net) is first  # nothing has changed
  assert vars(create(copy / net.name))['kind'] == 'copied'
  create(net)
  blocks.write_text('KIND = "changed"')  # of another length, for Python's cache of bytecode
  assert vars(create(net))['kind'] == 'changed'
