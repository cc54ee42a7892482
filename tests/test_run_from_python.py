"""The public face: a run is trained, opened and looked at from Python."""

import pathlib
import re
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cifar_jax
from cifar_jax import python_errors
from cifar_jax.data import shapes
from cifar_jax.errors import InputError
from cifar_jax.runtime import console
from cifar_jax.training import session
from tests.support import fake_trackers
from tests.support.fake_cifar import message
from tests.support.paths import ROOT

PNG = b'\x89PNG'
SMALL = {
  'data.images_per_class': 8,
  'data.validation_size': 16,
  'train.batch_size': 16,
  'train.log_every_steps': 2,
  'sharding.num_devices': 1,
}


@pytest.fixture(scope='module', autouse=True)
def restored_log() -> Iterator[None]:
  """Puts the log back as it was: a program that calls `train` gets warnings alone."""
  before = console.logger.handlers[:], console.logger.level, console.logger.propagate
  yield
  console.logger.handlers[:], console.logger.propagate = before[0], before[2]
  console.logger.setLevel(before[1])


@pytest.fixture(scope='module', autouse=True)
def few_shapes() -> Iterator[None]:
  """Makes the data set small, which is drawn again in each test."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(shapes, 'TRAIN_SIZE', 200)
    patch.setattr(shapes, 'TEST_SIZE', 100)
    yield


@pytest.fixture(scope='module')
def trained(few_shapes: None, tmp_path_factory: pytest.TempPathFactory) -> list[cifar_jax.Run]:
  """Two handles of one run, trained in a thread: as `train` returns it, again and from disk."""
  workdir = tmp_path_factory.mktemp('runs') / 'small'
  runs: list[cifar_jax.Run] = []

  def train() -> None:
    recipe = 'resnet:depth=8,dataset=shapes'
    runs.append(cifar_jax.train(recipe, workdir=str(workdir), epochs=1, overrides=SMALL))

  for _ in range(2):  # the second time there is nothing left to do
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
  return [*runs, cifar_jax.load_run(workdir)]


def test_a_run_has_its_history_and_result(
  trained: list[cifar_jax.Run], capsys: pytest.CaptureFixture[str]
) -> None:
  assert len(trained) == 3
  for run in trained:
    assert run.config.train.num_epochs == 1 and run.config.data.name == 'shapes'
    assert run.test == trained[0].test and 0 <= run.test['accuracy'] <= 1
    assert [record['split'] for record in run.history][-2:] == ['validation', 'test']
    assert 'test accuracy' in repr(run)
  log = (trained[0].workdir / 'log.txt').read_text()
  assert 'epoch 1' in log
  parts = 'stem 464, stage1 4,672, stage2 13,952, stage3 55,552, head 650'
  assert f'parameters by part: {parts}\n' in log
  assert not capsys.readouterr().out


def test_its_variables_give_its_logits(trained: list[cifar_jax.Run]) -> None:
  run = trained[0]
  images = np.zeros((2, 32, 32, 3), np.float32)
  logits: Any = run.model.apply(run.variables, images, train=False)
  assert logits.shape == (2, 10)


def test_a_kept_run_has_the_net_of_the_newest_checkpoint(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  steps: list[list[str]] = []

  def restore(workdir: pathlib.Path, *_: Any) -> int:
    steps.append(sorted(path.name for path in (workdir / 'checkpoints').iterdir()))
    return len(steps)

  monkeypatch.setattr('cifar_jax.run.restore_net', restore)
  (tmp_path / 'checkpoints' / '10').mkdir(parents=True)
  run = cifar_jax.Run(tmp_path)
  assert [run._net, run._net] == [1, 1]
  (tmp_path / 'checkpoints' / '20').mkdir()  # it is trained longer
  assert [run._net, run._net] == [2, 2] and steps == [['10'], ['10', '20']]
  shutil.copytree(tmp_path / 'checkpoints', tmp_path / 'copy')
  shutil.rmtree(tmp_path / 'checkpoints')
  (tmp_path / 'copy').rename(tmp_path / 'checkpoints')  # another run of the same length
  assert [run._net, run._net] == [3, 3]


def test_its_pictures_are_shown_and_saved(
  trained: list[cifar_jax.Run], tmp_path: pathlib.Path
) -> None:
  run = trained[0]
  pictures = [run.curves(), run.confusion(), run.mistakes()]
  assert all(picture._repr_png_().startswith(PNG) for picture in pictures)
  pictures[0].save(tmp_path / 'curves.png')
  assert (tmp_path / 'curves.png').read_bytes().startswith(PNG)


def test_it_classifies_a_picture(trained: list[cifar_jax.Run], tmp_path: pathlib.Path) -> None:
  Image.new('RGB', (50, 40), 'red').save(tmp_path / 'red.png')
  (guesses,) = trained[0].predict(tmp_path / 'red.png')
  with pytest.raises(InputError, match='needs an image'):
    trained[0].predict()
  assert len(guesses) == 3 and all(0 <= probability <= 1 for _, probability in guesses)
  assert guesses[0][1] >= guesses[1][1]


def test_a_picture_in_memory_is_classified_as_the_file(
  trained: list[cifar_jax.Run], tmp_path: pathlib.Path
) -> None:
  picture = Image.fromarray(np.random.RandomState(0).randint(0, 256, (50, 40, 3), np.uint8))
  picture.save(tmp_path / 'a.png')
  grey = np.asarray(picture.convert('L'))
  rows = trained[0].predict(tmp_path / 'a.png', picture, np.asarray(picture), grey)
  assert rows[0] == rows[1] == rows[2] != rows[3]
  assert trained[0].predict([tmp_path / 'a.png', picture], grey) == [*rows[:2], rows[3]]
  for wrong in (grey[0], np.asarray(picture, np.float32), np.zeros((5, 5, 4), np.uint8)):
    with pytest.raises(InputError, match=r'^a picture is a file, .*, not (uint8|float32) \['):
      trained[0].predict(wrong)


@pytest.mark.ci
def test_it_is_evaluated_as_by_the_command(trained: list[cifar_jax.Run]) -> None:
  run = trained[0]
  results = run.evaluate()
  for name in ('accuracy', 'loss'):
    assert results[name] == pytest.approx(run.test[name])
  validation = run.evaluate('validation', tta='flip', overrides={'sharding.num_devices': 2})
  assert (validation['num_images'], validation['split'], validation['tta']) == (
    16, 'validation', 'flip',
  )  # fmt: skip
  assert (run.workdir / 'evaluation' / 'validation_last_flip.json').exists()
  mistakes: list[dict[str, Any]] = [{'split': 'tset'}, {'tta': 'flips'}, {'checkpoint': '3'}]
  for options in mistakes:
    with pytest.raises(InputError, match=r"^(split|tta|checkpoint) is '.*': choose one of "):
      run.evaluate(**options)


@pytest.mark.parametrize('name', fake_trackers.NAMES)
def test_a_tracker_gets_a_run_that_is_finished_with_its_pictures_once(
  trained: list[cifar_jax.Run], name: str, monkeypatch: pytest.MonkeyPatch, no_pictures: None
) -> None:
  service = fake_trackers.install(monkeypatch, name)
  run = trained[0]
  for _ in range(2):
    cifar_jax.train(run.config, overrides={'train.trackers': name}, workdir=run.workdir)
  records = [(record['step'], record['split']) for record in run.history]
  sent = [(step, values[-1].partition('/')[0]) for step, values in service.scalars]
  assert sent == records
  assert len(service.pictures) == 2 and any('mistakes' in picture for picture in service.pictures)
  assert service.opened == ['run1'] and service.closed in ([0], ['FINISHED'])


def test_tensorboard_shows_the_mistakes_of_a_run(trained: list[cifar_jax.Run]) -> None:
  events = EventAccumulator(str(trained[0].workdir)).Reload()
  (image,) = events.Images('mistakes')
  assert image.step == trained[0].result['num_steps'] and image.height > 300
  assert 'configuration/text_summary' in events.Tags()['tensors']


def test_an_analysis_returns_its_numbers_and_picture(trained: list[cifar_jax.Run]) -> None:
  lesion = trained[0].lesion(num_images=16, draws=1)
  assert lesion.numbers['analysis'] == 'lesion' and lesion.numbers['num_images'] == 16
  assert lesion._repr_png_().startswith(PNG) and 'stage' in str(lesion)
  with pytest.raises(InputError, match=r"lesion has no option 'draw'; there are .*draws"):
    trained[0].lesion(draw=1)
  with pytest.raises(InputError, match=r'^(?!.*--).*num_images: .*at least 1'):
    trained[0].lesion(num_images=0)


def test_errors_name_arguments_and_keys_and_no_options(
  trained: list[cifar_jax.Run], tmp_path: pathlib.Path
) -> None:
  workdir = trained[0].workdir
  text = message(lambda: cifar_jax.train('resnet:depth=14,dataset=shapes', workdir=workdir))
  assert text.endswith('give another workdir') and '--' not in text
  text = message(lambda: cifar_jax.train('resnet:dataset=folder', workdir=tmp_path / 'run'))
  assert '(data.data_dir=DIR)' in text and '--' not in text
  with_command = 'python -m cifar_jax.evaluate --workdir DIR writes it again'
  assert python_errors.in_python(with_command) == with_command


def test_one_process_trains_one_run_at_a_time(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  refusals: list[str] = []

  def train_another(*_: object, **__: object) -> None:
    def train() -> None:
      refusals.append(message(lambda: cifar_jax.train('resnet', workdir=tmp_path / 'second')))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()

  monkeypatch.setattr(session, 'run', train_another)
  for _ in range(2):  # the second time it is free again
    with pytest.raises(InputError, match='holds no run'):
      cifar_jax.train('resnet', workdir=tmp_path / 'first')
  assert len(refusals) == 2 and all('is training another run: wait' in text for text in refusals)


def test_where_there_is_no_run_that_is_said(tmp_path: pathlib.Path) -> None:
  with pytest.raises(InputError, match=r'config\.json'):
    cifar_jax.load_run(tmp_path)
  with pytest.raises(InputError, match='there is no'):
    cifar_jax.train('resnet', overrides={'train.batch_sise': 3}, workdir=tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_the_loop_of_the_page_gives_what_train_gives(
  trained: list[cifar_jax.Run], capsys: pytest.CaptureFixture[str]
) -> None:
  page = (ROOT / 'docs' / 'python.md').read_text()
  loop = re.findall(r'```python\n(.*?)```', page, flags=re.DOTALL)[-1]
  loop, replaced = re.subn(r'config = cifar_jax\.config\.load\(.*\)', 'config = run.config', loop)
  assert replaced == 1
  exec(loop, {'run': trained[0]})
  assert f'test accuracy {100 * trained[0].test["accuracy"]:.1f} %' in capsys.readouterr().out
