"""`cifar_jax.export`: StableHLO that a process with JAX alone runs, on batches of any size."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys

import flax.linen as nn
import jax
import numpy as np
import pytest

from cifar_jax import cli, export
from cifar_jax.evaluation.ensemble import predict_ensemble
from cifar_jax.evaluation.export import export_net
from cifar_jax.evaluation.restore import Restored, restore_net, restore_run
from tests.support import fake_run
from tests.support.fake_cifar import message
from tests.support.paths import ROOT

pytest.importorskip('flatbuffers')  # of the extra `export`


@pytest.fixture(scope='module')
def member(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Restored:
  run = fake_run.make(tmp_path_factory.mktemp('runs') / 'run', tiny_cifar)
  return restore_run(run, 'last', [])


def run_command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
  monkeypatch.setattr('sys.argv', ['export', *map(str, words)])
  with pytest.raises(SystemExit) as exit_:
    cli.run(export.main)
  return int(exit_.value.code or 0)


def test_a_process_with_jax_alone_gives_the_logits_of_the_run(
  member: Restored,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  file = tmp_path / 'net.stablehlo'
  assert run_command(monkeypatch, '--workdir', member.workdir, '--out', file) == 0
  assert 'cpu, cuda, tpu' in capsys.readouterr().out
  description = json.loads((tmp_path / 'net.stablehlo.json').read_text())
  assert description['class_names'] == list(member.experiment.dataset.class_names)
  assert description['step'] == 3 and description['image_size'] == [32, 32]

  test = member.experiment.dataset.test
  np.save(tmp_path / 'images.npy', test.images)
  page = (ROOT / 'docs' / 'python.md').read_text()
  (code,) = re.findall(r'```python\n(import numpy as np\nfrom jax import export.*?)```', page, re.S)
  lines = [
    'import sys; sys.modules.update(cifar_jax=None, flax=None)  # they cannot be imported',
    code,
    "images = np.load('images.npy')",
    "np.save('logits.npy', np.concatenate([net.call(images[:1]), net.call(images[1:])]))",
    'assert logits.shape == (5, 10)',
  ]
  done = subprocess.run(
    [sys.executable, '-c', '\n'.join(lines)], cwd=tmp_path, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  expected = predict_ensemble([member], test, 'none')
  np.testing.assert_allclose(np.load(tmp_path / 'logits.npy'), expected, rtol=1e-4, atol=1e-4)


def test_the_program_is_of_xla_for_all_platforms_and_calls_no_foreign_function(
  member: Restored,
) -> None:
  exported = export_net(member)
  assert exported.platforms == ('cpu', 'cuda', 'tpu')
  text = exported.mlir_module()
  assert 'stablehlo.convolution' in text
  assert set(re.findall(r'custom_call @([\w.]+)', text)) <= {
    'shape_assertion'
  }  # at least one image


def test_a_net_that_counts_its_images_is_refused_in_one_line(member: Restored) -> None:
  class Counting(nn.Module):
    num_classes: int = 10

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
      return nn.Dense(10)(images.reshape(len(images), -1))

  experiment = dataclasses.replace(member.experiment, model=Counting())
  variables = Counting().init(jax.random.key(0), np.zeros((1, 32, 32, 3)), train=False)
  state = member.state.replace(params=variables['params'], batch_stats={})  # type: ignore[attr-defined]
  counting = dataclasses.replace(member, experiment=experiment, state=state)
  assert 'len(images)' in message(lambda: export_net(counting))


@pytest.mark.parametrize(
  ('words', 'expected'),
  [
    (['--workdir', 'nowhere', '--out', 'x'], ['nowhere', 'no run']),
    (['--workdir', 'RUN', '--out', '.'], ['is a directory']),
    (['--workdir', 'RUN', '--out', 'RUN/result.json'], ['belongs to the run']),
    (['--workdir', 'RUN', '--out', 'net'], ['net.json', 'did not write it']),
    (['--workdir', 'RUN'], ['--out']),
  ],
)
def test_bad_input_is_one_line(
  words: list[str],
  expected: list[str],
  member: Restored,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'net.json').write_text('{}')
  words = [word.replace('RUN', str(member.workdir)) for word in words]
  assert run_command(monkeypatch, *words) == 2
  errors = capsys.readouterr().err
  assert errors.count('\n') == 1 and all(word in errors for word in expected), errors


def test_without_its_data_a_run_is_exported_too(member: Restored) -> None:
  net = restore_net(member.workdir, 'last', [])
  assert not len(net.experiment.dataset.test)
  assert export_net(net).in_avals[0].shape[1:] == (32, 32, 3)
