"""Prediction files: written and read, or refused in one line."""

import contextlib
import errno
import os
import pathlib
import zipfile
from typing import Any, NoReturn

import numpy as np
import pytest

from cifar_jax.errors import InputError, ShortageError
from cifar_jax.evaluation import predictions, scorecard
from cifar_jax.evaluation.predictions import (
  GroundTruth,
  Predictions,
  read_predictions,
  write_predictions,
)
from tests.support.fake_cifar import message

TRUTH = GroundTruth(np.array([0, 1, 2], np.int32), ('cat', 'dog', 'eel'))
LOGITS = np.array([[3, 1, 0], [0, 2, 5], [1, 1, 2]], np.float32)


def test_a_written_file_is_read_unchanged(tmp_path: pathlib.Path) -> None:
  write_predictions(tmp_path / 'x.npz', TRUTH, Predictions.of_logits('net', LOGITS))
  (model,), truth = read_predictions(str(tmp_path / 'x.npz'))
  assert model.name == 'net' and model.predicted.tolist() == [0, 2, 2]
  assert model.logits is not None and truth is not None
  np.testing.assert_array_equal(model.logits, LOGITS)
  assert truth.class_names == TRUTH.class_names and truth.images is None
  np.testing.assert_array_equal(truth.labels, TRUTH.labels)
  assert [path.name for path in tmp_path.iterdir()] == ['x.npz']


def test_a_published_file_has_several_models_and_no_labels(tmp_path: pathlib.Path) -> None:
  np.savez(tmp_path / 'x.npz', a=np.array([0, 1], np.uint8), b=np.array([2, 2], np.uint8))
  models, truth = read_predictions(str(tmp_path / 'x.npz'))
  assert truth is None and [(m.name, m.predicted.tolist(), m.logits) for m in models] == [
    ('a', [0, 1], None),
    ('b', [2, 2], None),
  ]
  (selected,), _ = read_predictions(f'{tmp_path / "x.npz"}:b')
  assert selected.name == 'b'


NAMES = np.array(['cat', 'dog', 'eel'])
NO_NAMES = np.frombuffer(np.full(9, 0x7FFFFFFF, np.uint32).tobytes(), 'U3')  # no characters


@pytest.mark.parametrize(
  ('arrays', 'words'),
  [
    ({}, 'no predictions'),
    ({'labels': TRUTH.labels, 'class_names': NAMES}, 'no predictions'),
    ({'labels': TRUTH.labels, 'net': LOGITS}, 'labels alone'),
    ({'labels': np.array([0, 1, 3]), 'class_names': NAMES, 'net': LOGITS}, '0..2'),
    ({'labels': np.array([0.5]), 'class_names': NAMES, 'net': LOGITS}, 'integers'),
    ({'labels': TRUTH.labels, 'class_names': NAMES, 'net': LOGITS[:2]}, '2 images'),
    (
      {'labels': TRUTH.labels, 'class_names': np.array(list('abcd')), 'net': LOGITS},
      '3 classes',
    ),
    ({'labels': TRUTH.labels, 'class_names': NAMES, 'net': np.array([0, 1, 3])}, '4 classes'),
    ({'labels': TRUTH.labels, 'class_names': NAMES[0], 'net': LOGITS}, 'strings [classes]'),
    ({'labels': TRUTH.labels, 'class_names': NAMES[None], 'net': LOGITS}, 'strings [classes]'),
    ({'labels': TRUTH.labels, 'class_names': NO_NAMES, 'net': LOGITS}, 'not one of Unicode'),
    ({'labels': TRUTH.labels[None], 'class_names': NAMES, 'net': LOGITS}, 'integers [n]'),
    ({'labels': TRUTH.labels, 'class_names': NAMES[[0, 0, 1]], 'net': LOGITS}, 'same name'),
    (
      {'labels': TRUTH.labels, 'class_names': np.arange(2001).astype(str), 'net': TRUTH.labels},
      'has 2,001 class_names',
    ),
    ({'net': LOGITS * np.nan}, 'finite'),
    ({'net': LOGITS.astype(np.float64) * 1e300}, 'finite in float32'),
    ({'net': np.array([-1, 0])}, 'negative'),
    ({'net': np.array([2**40])}, 'too large'),
    ({'net': np.array(['cat'])}, 'integer [n] classes'),
    ({'net': np.ones((2, 2, 2))}, 'integer [n] classes'),
  ],
)
def test_arrays_of_another_form_are_refused(
  tmp_path: pathlib.Path, arrays: dict[str, Any], words: str
) -> None:
  np.savez(tmp_path / 'x.npz', **arrays)
  assert words in message(lambda: read_predictions(str(tmp_path / 'x.npz')))


def test_a_member_that_is_no_array_is_refused(tmp_path: pathlib.Path) -> None:
  path = tmp_path / 'x.npz'
  np.savez(path, net=np.arange(3))
  with zipfile.ZipFile(path, 'a') as archive:
    archive.writestr('README', 'not an array')
  assert 'has README, which is no array' in message(lambda: read_predictions(str(path)))


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  assert predictions._MAX_BYTES == 2**29 >= 4 * 100_000 * 1000
  path = tmp_path / 'x.npz'
  np.savez_compressed(path, net=np.zeros(1000, np.int32))
  read_predictions(str(path))
  monkeypatch.setattr(predictions, '_MAX_BYTES', 2000)
  assert 'unpacks to' in message(lambda: read_predictions(str(path)))
  monkeypatch.undo()
  monkeypatch.setattr(predictions, '_MAX_IMAGES', 999)
  assert 'net is of 1,000 images' in message(lambda: read_predictions(str(path)))


def test_a_model_named_as_the_labels_does_not_replace_them(tmp_path: pathlib.Path) -> None:
  write_predictions(tmp_path / 'x.npz', TRUTH, Predictions.of_logits('labels', LOGITS))
  (model,), truth = read_predictions(str(tmp_path / 'x.npz'))
  assert model.name == 'labels (model)' and truth is not None and truth.labels.tolist() == [0, 1, 2]


def test_an_encrypted_file_is_refused(tmp_path: pathlib.Path) -> None:
  path = tmp_path / 'x.npz'
  np.savez(path, net=np.arange(3))
  content = bytearray(path.read_bytes())
  for header, flags in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)):
    content[content.index(header) + flags] |= 1
  path.write_bytes(content)
  assert 'is not an npz file of plain arrays' in message(lambda: read_predictions(str(path)))


def test_damage_of_a_byte_is_one_line_or_harmless(tmp_path: pathlib.Path) -> None:
  path = tmp_path / 'x.npz'
  np.savez_compressed(path, net=np.arange(300))
  whole = path.read_bytes()
  for index in range(0, len(whole), 4):
    content = bytearray(whole)
    content[index] ^= 0xFF
    path.write_bytes(content)
    with contextlib.suppress(InputError):
      read_predictions(str(path))


def test_files_that_are_not_npz_are_refused(tmp_path: pathlib.Path) -> None:
  path = tmp_path / 'x.npz'
  assert 'No such file' in message(lambda: read_predictions(str(path)))
  os.mkfifo(path)  # to read it would wait for ever
  assert 'a pipe' in message(lambda: read_predictions(str(path)))
  path.unlink()
  path.write_text('predictions')
  assert 'npz' in message(lambda: read_predictions(str(path)))
  path.write_bytes(b'')
  assert 'npz' in message(lambda: read_predictions(str(path)))
  np.savez(path, net=np.array([object()]))
  assert 'npz' in message(lambda: read_predictions(str(path)))  # a pickle can run code
  np.savez_compressed(path, net=np.arange(5000))
  content = bytearray(path.read_bytes())
  content[200:260] = bytes(60)
  path.write_bytes(content)
  assert 'npz' in message(lambda: read_predictions(str(path)))
  with path.open('wb') as file:
    np.save(file, np.arange(3))
  assert 'single array' in message(lambda: read_predictions(str(path)))
  np.savez(path, net=np.arange(3))
  assert 'it has net' in message(lambda: read_predictions(f'{path}:other'))


@pytest.mark.parametrize('full', ['numbers', 'predictions'])
def test_a_full_disk_leaves_an_earlier_scorecard_as_it_was(
  full: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  truth = GroundTruth(np.array([0, 1, 1]), ('cat', 'dog'))
  scorecard.save(tmp_path, 'test_last', Predictions('a', np.array([0, 1, 1])), truth, {})
  (picture := tmp_path / 'test_last_confusion_matrix.png').touch()
  before = {path: path.read_bytes() for path in tmp_path.iterdir()}

  def no_space(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, 'No space left on device')

  place: tuple[Any, str] = {
    'numbers': (pathlib.Path, 'write_text'),
    'predictions': (np, 'savez_compressed'),
  }[full]
  with monkeypatch.context() as patch, pytest.raises(ShortageError, match='the disk is full'):
    patch.setattr(*place, no_space)
    scorecard.save(tmp_path, 'test_last', Predictions('a', np.array([1, 1, 1])), truth, {})
  assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
  scorecard.save(tmp_path, 'test_last', Predictions('a', np.array([1, 1, 1])), truth, {})
  assert not picture.exists()  # of the earlier predictions
