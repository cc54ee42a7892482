"""The examples of docs/extending.md, applied to a copy of the tree and tested there."""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / 'docs' / 'extending.md').read_text()
# A sentence that names a file and a place in it, then a block of code.
EDIT = re.compile(
  r'^(?:(?P<write>Write)|(?P<end>At the end of)|In)\s+`(?P<path>[\w/.]+)`'
  r'(?:,\s+(?P<place>before|after|replace)\s+the\s+line\s+`(?P<anchor>[^`]+)`)?'
  r'[^`]*?:\n\n```python\n(?P<code>.*?)^```$',
  flags=re.MULTILINE | re.DOTALL,
)
# What is new, as the names of tests and their parameters have it; and files with tests that hold
# for every model, recipe, augmentation, study and module, in which some have these parameters.
NEW = ('depthwise', 'plain_flax', 'grey', 'npz', 'weight_norms', 'adamax')
GENERAL_TESTS = (
  'tests/test_imports.py',
  'tests/augment/test_gallery.py',
  'tests/augment/test_make.py',
  'tests/study/test_study_files.py',
)

# One run that uses the new model, augmentation and optimizer, and the commands on it.
TRAINED_TOGETHER = '''
"""A run with the new model, augmentation and optimizer; the new analysis and study."""

import json
import math
import pathlib
import sys

import pytest

from cifar_jax import models
from cifar_jax.analysis import weight_norms
from cifar_jax.config import load, override
from cifar_jax.data import shapes
from cifar_jax.models.classifier import check_classifier
from cifar_jax.study import __main__ as study
from cifar_jax.training import session

DEPTH = 8


def test_plain_flax_satisfies_the_contract() -> None:
  net = models.create('plain_flax', module='my/plain_flax.py', width=8)
  check_classifier(net, (32, 32, 3))


def test_depthwise_resnet_trains_with_adamax_on_grey_images_and_is_analysed(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  monkeypatch.setattr(shapes, 'TRAIN_SIZE', 100)
  monkeypatch.setattr(shapes, 'TEST_SIZE', 40)
  config = load(f'my/depthwise.py:depth={DEPTH},dataset=shapes,epochs=1')
  override(config, [
    '--config.data.validation_size=20', '--config.train.batch_size=40',
    '--config.sharding.num_devices=1', '--config.augment.grey=0.5',
    '--config.optimizer.name=adamax', '--config.schedule.learning_rate=1e-3',
  ])
  assert session.run(config, tmp_path / 'run') == 0
  result = json.loads((tmp_path / 'run' / 'result.json').read_text())
  assert result['num_steps'] == 2 and math.isfinite(result['test']['loss'])
  monkeypatch.setattr(sys, 'argv', ['weight_norms', '--workdir', str(tmp_path / 'run')])
  weight_norms.main()
  assert 'stage3_block1/conv2' in capsys.readouterr().out


def test_the_list_of_studies_shows_depthwise(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  monkeypatch.setattr(sys, 'argv', ['study', '--list'])
  assert study.main() == 0
  assert 'depthwise' in capsys.readouterr().out.splitlines()
'''


@dataclasses.dataclass(frozen=True)
class Edit:
  """A block of the page.

  Attributes:
    path: the file, relative to the root.
    place: `write` (the file is new), `end`, `before`, `after` or `replace`.
    anchor: beginning of the line that the block is placed at, without its indentation.
    code: the block.
  """

  path: str
  place: str
  anchor: str
  code: str

  def apply(self, root: pathlib.Path) -> None:
    """Changes the file below `root`."""
    path = root / self.path
    if self.place == 'write':
      assert not path.exists(), self.path
      path.write_text(self.code)
    elif self.place == 'end':
      path.write_text(path.read_text() + self.code)
    else:
      path.write_text(''.join(map(self._edited, path.read_text().splitlines(keepends=True))))

  def _edited(self, line: str) -> str:
    if not line.lstrip().startswith(self.anchor):
      return line
    return {'before': self.code + line, 'after': line + self.code, 'replace': self.code}[self.place]


def _edits() -> list[Edit]:
  return [
    Edit(
      match['path'],
      'write' if match['write'] else 'end' if match['end'] else match['place'],
      match['anchor'] or '',
      match['code'],
    )
    for match in EDIT.finditer(PAGE)
  ]


EDITS = _edits()


@pytest.fixture(scope='module')
def extended(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A copy of the tree with all edits of the page."""
  root = tmp_path_factory.mktemp('extended')
  for folder in ('cifar_jax', 'configs', 'tests'):
    shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns('__pycache__'))
  shutil.copy(ROOT / 'pyproject.toml', root)
  (root / 'benchmarks').mkdir()
  (root / 'my').mkdir()
  for edit in EDITS:
    edit.apply(root)
  (root / 'tests' / 'test_trained_together.py').write_text(TRAINED_TOGETHER)
  return root


def _run(root: pathlib.Path, *words: str) -> str:
  """Runs a module of Python in the copy; returns its output, which a failure shows."""
  done = subprocess.run(
    [sys.executable, '-m', *words],
    cwd=root,
    env=os.environ | {'PYTHONPATH': str(root)},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  assert done.returncode == 0, done.stdout
  return done.stdout


def test_every_block_of_the_page_says_where_it_belongs() -> None:
  assert len(EDITS) == PAGE.count('```python\n')
  for edit in EDITS:
    if edit.place not in ('write', 'end'):
      lines = (ROOT / edit.path).read_text().splitlines()
      places = [line for line in lines if line.lstrip().startswith(edit.anchor)]
      assert len(places) == 1, (edit.path, edit.anchor)


def test_the_examples_are_formatted_and_clean(extended: pathlib.Path) -> None:
  files = sorted({edit.path for edit in EDITS})
  _run(extended, 'ruff', 'format', '--check', *files)
  _run(extended, 'ruff', 'check', *files)


@pytest.mark.slow
def test_the_examples_pass_their_own_tests_and_the_general_ones(extended: pathlib.Path) -> None:
  written = [edit.path for edit in EDITS if edit.place == 'write' and '/test_' in edit.path]
  written.append('tests/test_trained_together.py')
  chosen = ' or '.join((*NEW, 'every_augmentation'))
  options = ('-n0', '-p', 'no:cacheprovider', '-vv', '-k', chosen)
  output = _run(extended, 'pytest', *options, *written, *GENERAL_TESTS)
  passed = [line for line in output.splitlines() if 'PASSED' in line]
  for path in (*written, *GENERAL_TESTS):
    assert any(line.startswith(path) for line in passed), path
