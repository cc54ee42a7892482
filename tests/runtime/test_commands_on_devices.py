"""Every command that runs a compiled program does so on several devices, one program at a time."""

import importlib
import json
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest

from cifar_jax.experiment import eval_step
from cifar_jax.runtime import devices
from tests.support import fake_run
from tests.support.paths import ROOT

# For each command, its module, its options, and where its numbers are: a file in the workdir and a
# key, or nothing for standard output. RUN stands for the workdir, IMAGE for a picture.
COMMANDS: dict[str, tuple[str, tuple[str, str] | None]] = {
  'evaluate': ('--workdir RUN', ('evaluation/test_last.json', 'loss')),
  'predict': ('--workdir RUN IMAGE', None),
  'compare': ('RUN RUN --out RUN/comparison', ('comparison/comparison.json', 'models')),
  'analysis.activations': ('--workdir RUN', ('analysis/activations.json', 'after')),
  'analysis.branch_correlation': (
    '--workdir RUN', ('analysis/branch_correlation.json', 'correlation'),
  ),
  'analysis.complexity': ('--workdir RUN', ('analysis/complexity.json', 'error')),
  'analysis.landscape': (
    '--workdir RUN --to RUN --points 2', ('analysis/landscape.json', 'points'),
  ),
  'analysis.lesion': ('--workdir RUN --draws 1', ('analysis/lesion.json', 'each')),
  'analysis.path_length': ('--workdir RUN --draws 1', ('analysis/path_length.json', 'lengths')),
}  # fmt: skip


@pytest.fixture(scope='module')
def run(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run of a Shake-Shake net, which all analyses take."""
  workdir = tmp_path_factory.mktemp('runs') / 'run'
  overrides = ('model.name=shake_shake_8_2x4d', 'train.batch_size=16')
  recipe = str(ROOT / 'configs' / 'shake_shake.py')
  return fake_run.make(workdir, tiny_cifar, *overrides, recipe=recipe)


@pytest.mark.slow
@pytest.mark.parametrize('command', COMMANDS)
def test_each_command_waits_for_its_programs_and_gives_the_same_numbers(
  command: str,
  run: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  # Programs that are queued would wait for each other's threads, and after 40 s XLA would end the
  # process; but only if there are many, and long ones.
  waits = count_waits(monkeypatch)
  options, place = COMMANDS[command]
  image = tmp_path / 'image.png'
  PIL.Image.new('RGB', (32, 32), (200, 30, 60)).save(image)
  words = options.replace('RUN', str(run)).replace('IMAGE', str(image)).split()
  numbers = []
  for num_devices in (2, 8):
    waits.clear()
    override = f'--config.sharding.num_devices={num_devices}'
    monkeypatch.setattr(sys, 'argv', [command, *words, override])
    importlib.import_module(f'cifar_jax.{command}').main()
    text = capsys.readouterr().out
    if place:
      text = json.dumps(json.loads((run / place[0]).read_text())[place[1]])
    assert set(waits) == {num_devices}
    numbers.append(np.array(re.findall(r'-?\d+\.\d+', text), float))
  np.testing.assert_allclose(numbers[1], numbers[0], rtol=1e-3, atol=0.03)


def count_waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
  """The number of devices of each result that is waited for from now on."""
  waits = []
  wait: Callable[[Any], None] = devices.wait_on_cpu

  def note_and_wait(result: Any) -> None:
    waits.append(max(len(leaf.devices()) for leaf in devices.jax.tree.leaves(result)))
    wait(result)

  for module in (devices, eval_step):
    monkeypatch.setattr(module, 'wait_on_cpu', note_and_wait)
  return waits


def test_no_command_compiles_a_program_that_is_not_waited_for() -> None:
  rooms = [ROOT / 'cifar_jax' / room for room in ('analysis', 'evaluation')]
  files = [*(ROOT / 'cifar_jax').glob('*.py'), *(path for room in rooms for path in room.glob('*'))]
  assert len(files) > 20
  for path in files:
    if path.suffix == '.py' and path.name != 'export.py':  # which compiles and runs nothing
      assert not re.search(r'\bjax\.(jit|pmap)\b|\bpjit\b', path.read_text()), path
