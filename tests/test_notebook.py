"""The notebook has its form, and a kernel executes all of its cells on small settings."""

import ast
import os
import pathlib
import pkgutil
import re
from typing import Any

import nbclient
import nbformat
import pytest

from cifar_jax import models
from tests.support.paths import ROOT

TOUR = ROOT / 'notebooks' / 'tour.ipynb'
NUM_DEVICES = 2
# What the cell of settings leaves is replaced by this.
SMALL = """
from cifar_jax.data import shapes as small_shapes

small_shapes.TRAIN_SIZE, small_shapes.TEST_SIZE = 200, 100
SMALL = {{'train.batch_size': 20, 'train.log_every_steps': 2, 'sharding.num_devices': 1}}
DATA_DIR = {data_dir!r}
SHAPES_EPOCHS, CIFAR_DEPTH, CIFAR_EPOCHS, NUM_SEEDS = 1, 8, 1, 2
SHAPES_KEYS = SMALL | {{'data.validation_size': 40}}
CIFAR_KEYS = SMALL | {{'data.data_dir': DATA_DIR, 'data.validation_size': 40}}
"""
WIDGET = 'application/vnd.jupyter.widget-view+json'
WITH_PICTURES = ('curves', 'confusion', 'mistakes', 'picture', 'cifar-mistakes', 'lesion', 'paths')


@pytest.fixture(scope='module')
def tour() -> Any:
  """The notebook as it is saved."""
  notebook = nbformat.read(TOUR, as_version=4)
  nbformat.validate(notebook)
  return notebook


def test_the_notebook_is_saved_without_outputs(tour: Any) -> None:
  codes = [cell for cell in tour.cells if cell.cell_type == 'code']
  assert len(codes) > 10
  for cell in codes:
    assert not cell.outputs and cell.execution_count is None, cell.id
  assert TOUR.read_bytes().endswith(b'}\n')


def test_a_few_words_stand_before_each_cell_of_code(tour: Any) -> None:
  kinds = [cell.cell_type for cell in tour.cells]
  for kind, before, cell in zip(kinds[1:], kinds, tour.cells[1:], strict=False):
    assert kind == 'markdown' or before == 'markdown', cell.id


def test_the_files_and_names_of_the_notebook_exist(tour: Any) -> None:
  for cell in tour.cells:
    if cell.cell_type == 'markdown':
      for path in re.findall(r'`(docs/[\w./]+)`', cell.source):
        assert (ROOT / path).is_file(), path
      continue
    for node in ast.walk(ast.parse(cell.source)):
      if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('cifar_jax'):
        for alias in node.names:
          assert pkgutil.resolve_name(f'{node.module}.{alias.name}'), alias.name


@pytest.fixture(scope='module')
def outputs(
  tour: Any, tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Any]]:
  """The outputs of each cell by its name, after all were executed on two devices."""
  notebook = tour.copy()
  (index,) = (
    i for i, cell in enumerate(tour.cells) if 'parameters' in cell.metadata.get('tags', ())
  )
  small = nbformat.v4.new_code_cell(SMALL.format(data_dir=str(tiny_cifar)))
  notebook.cells = [*tour.cells[: index + 1], small, *tour.cells[index + 1 :]]
  flags = os.environ['XLA_FLAGS'].replace('device_count=8', f'device_count={NUM_DEVICES}')
  environment = os.environ | {'PYTHONPATH': str(ROOT), 'XLA_FLAGS': flags}
  client = nbclient.NotebookClient(
    notebook,
    timeout=300,
    kernel_name='python3',
    resources={'metadata': {'path': str(tmp_path_factory.mktemp('tour'))}},
  )
  client.execute(env=environment)
  return {cell.id: cell.get('outputs', []) for cell in notebook.cells}


def text(outputs: list[Any]) -> str:
  """All text that a cell has printed or shown."""
  printed = [output.text for output in outputs if output.output_type == 'stream']
  shown = [output.data.get('text/plain', '') for output in outputs if 'data' in output]
  return '\n'.join(printed + shown)


@pytest.mark.ci  # compiles eight programs
def test_every_cell_shows_what_the_words_before_it_promise(outputs: dict[str, list[Any]]) -> None:
  for name in WITH_PICTURES:
    assert any('image/png' in output.get('data', {}) for output in outputs[name]), name
  for name in ('train-shapes', 'train-cifar'):
    assert 'test accuracy' in text(outputs[name])
  assert re.search(r'test accuracy [\d.]+ ± [\d.]+ % over 2 seeds', text(outputs['seeds']))
  num_params = models.num_params(models.create('resnet110'))
  assert re.search(f'resnet110 +{num_params:,}', text(outputs['table']))
  assert 'test accuracy' in text(outputs['block'])
  losses = re.findall(r'(\d) x cpu test loss ([\d.]+)', text(outputs['mesh']))
  assert [number for number, _ in losses] == ['1', str(NUM_DEVICES)]
  assert float(losses[0][1]) == pytest.approx(float(losses[1][1]), rel=1e-3)


@pytest.mark.ci  # compiles eight programs
def test_training_shows_its_bar_and_prints_nothing_else(outputs: dict[str, list[Any]]) -> None:
  for name in ('train-shapes', 'seeds', 'mesh'):
    errors = [o.text for o in outputs[name] if o.output_type == 'stream' and o.name == 'stderr']
    assert not errors, (name, errors)
    assert any(WIDGET in output.get('data', {}) for output in outputs[name]), name
