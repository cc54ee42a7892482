"""Files of predictions: written and read again, and refused in one line."""

import numpy as np
import pytest
from fake_cifar import message

from cifar_jax import predictions
from cifar_jax.predictions import Predictions, Truth

TRUTH = Truth(np.array([0, 1, 2], np.int32), ('cat', 'dog', 'eel'))
LOGITS = np.array([[3, 1, 0], [0, 2, 5], [1, 1, 2]], np.float32)


def test_what_is_written_is_read(tmp_path):
  predictions.write(tmp_path / 'x.npz', TRUTH, Predictions.of_logits('net', LOGITS))
  (found,), truth = predictions.read(str(tmp_path / 'x.npz'))
  assert found.name == 'net' and found.predicted.tolist() == [0, 2, 2]
  np.testing.assert_array_equal(found.logits, LOGITS)
  assert truth.class_names == TRUTH.class_names and truth.images is None
  np.testing.assert_array_equal(truth.labels, TRUTH.labels)
  assert [path.name for path in tmp_path.iterdir()] == ['x.npz']


def test_a_published_file_has_many_models_and_no_truth(tmp_path):
  np.savez(tmp_path / 'x.npz', a=np.array([0, 1], np.uint8), b=np.array([2, 2], np.uint8))
  found, truth = predictions.read(str(tmp_path / 'x.npz'))
  assert truth is None and [(m.name, m.predicted.tolist(), m.logits) for m in found] == [
    ('a', [0, 1], None),
    ('b', [2, 2], None),
  ]
  (one,), _ = predictions.read(f'{tmp_path / "x.npz"}:b')
  assert one.name == 'b'


NAMES = np.array(['cat', 'dog', 'eel'])


@pytest.mark.parametrize(
  ('arrays', 'words'),
  [
    ({}, 'no predictions'),
    ({'labels': TRUTH.labels, 'class_names': NAMES}, 'no predictions'),
    ({'labels': TRUTH.labels, 'net': LOGITS}, 'labels alone'),
    ({'labels': np.array([0, 1, 3]), 'class_names': NAMES, 'net': LOGITS}, '0..2'),
    ({'labels': np.array([0.5]), 'class_names': NAMES, 'net': LOGITS}, 'integers'),
    ({'labels': TRUTH.labels, 'class_names': NAMES, 'net': LOGITS[:2]}, '2 images'),
    ({'labels': TRUTH.labels, 'class_names': NAMES[:2].repeat(2), 'net': LOGITS}, '3 classes'),
    ({'labels': TRUTH.labels, 'class_names': NAMES, 'net': np.array([0, 1, 3])}, '4 classes'),
    ({'net': LOGITS * np.nan}, 'finite'),
    ({'net': np.array([-1, 0])}, 'negative'),
    ({'net': np.array([2**40])}, 'too large'),
    ({'net': np.array(['cat'])}, 'integer [n] classes'),
    ({'net': np.ones((2, 2, 2))}, 'integer [n] classes'),
  ],
)
def test_a_file_of_another_form_is_refused(tmp_path, arrays, words):
  np.savez(tmp_path / 'x.npz', **arrays)
  assert words in message(lambda: predictions.read(str(tmp_path / 'x.npz')))


def test_what_is_no_npz_file_is_refused(tmp_path):
  path = tmp_path / 'x.npz'
  assert 'No such file' in message(lambda: predictions.read(str(path)))
  path.write_text('predictions')
  assert 'npz' in message(lambda: predictions.read(str(path)))
  path.write_bytes(b'')
  assert 'npz' in message(lambda: predictions.read(str(path)))
  np.savez(path, net=np.array([object()]))
  assert 'npz' in message(lambda: predictions.read(str(path)))  # a pickle is a program
  np.savez_compressed(path, net=np.arange(5000))
  content = bytearray(path.read_bytes())
  content[200:260] = bytes(60)
  path.write_bytes(content)
  assert 'npz' in message(lambda: predictions.read(str(path)))
  with path.open('wb') as file:
    np.save(file, np.arange(3))
  assert 'single array' in message(lambda: predictions.read(str(path)))
  np.savez(path, net=np.arange(3))
  assert 'it has net' in message(lambda: predictions.read(f'{path}:other'))
