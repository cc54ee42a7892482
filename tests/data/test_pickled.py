"""Pickles: every honest form is read, and hostile ones are refused without running anything."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cifar_jax import pickle_machine
from cifar_jax.data import batches
from cifar_jax.data.pickled import unpickle
from cifar_jax.data.pickled_arrays import PickledArray
from tests.support.fake_cifar import assert_equal, draw, encode_python2_pickle, message, planes

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('order', ['C', 'F'])
@pytest.mark.parametrize('key', ['labels', b'labels'])
def test_every_protocol_of_python_3_is_read(protocol: int, order: Any, key: bytes | str) -> None:
  split = draw(300, 10)
  content = {'data': planes(split).copy(order), key: split.labels.tolist(), 'names': ['ä.png'] * 2}
  content |= {'batch_label': b'training batch 1 of 5', 'num_vis': 3072, 'more': [True, None, 0.5]}
  file = pickle.dumps(content, protocol)
  assert_equal(batches.read_pickle('f', file, 'labels'), split)
  read = unpickle('f', file)
  del read['data'], read['labels'], content['data'], content[key]
  assert read == content


def encode_python2_text(split: Any) -> bytes:
  """The content of a file as Python 2 pickled it with protocol 0, its default."""
  data = planes(split)
  raw = repr(data.tobytes())[1:].encode()  # as Python 2 writes strings
  return (
    b"(dp0\nS'data'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\n"
    b"S'b'\np5\ntp6\nRp7\n(I1\n(" + b''.join(b'I%d\n' % size for size in data.shape) + b'tp8\n'
    b"cnumpy\ndtype\np9\n(S'u1'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'|'\np13\nNNNI-1\nI-1\nI0\ntp14\n"
    b'bI00\nS' + raw + b"\np15\ntp16\nbsS'labels'\np17\n(lp18\n"
    + b''.join(b'L%dL\na' % label for label in split.labels) + b's.'
  )  # fmt: skip


def test_both_protocols_of_python_2_are_read() -> None:
  split = draw(20, 10)
  assert_equal(batches.read_pickle('f', encode_python2_text(split), 'labels'), split)
  assert_equal(batches.read_pickle('f', encode_python2_pickle('cifar10', split), 'labels'), split)


@pytest.mark.parametrize('dtype', ['?', 'i1', '<i4', '>i8', '<u2', '>f4', '<f8'])
def test_arrays_keep_their_dtype_shape_and_values(dtype: str) -> None:
  array = np.arange(24).astype(dtype).reshape(2, 3, 4)
  for protocol in PROTOCOLS:
    read = unpickle('f', pickle.dumps({'a': array}, protocol))['a']
    assert read.dtype == array.dtype and not read.flags.writeable
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize(
  'as_people_keep_them',
  [
    tuple,
    np.array,
    lambda labels: np.array(labels, '>i8')[:, None],
    lambda labels: np.array(labels, np.uint8)[::-1][::-1],
    lambda labels: list(np.array(labels)),
    lambda labels: tuple(np.array(labels, np.uint8)),
  ],
  ids=['tuple', 'array', 'column', 'view', 'numpy numbers', 'tuple of numpy numbers'],
)
def test_labels_may_be_a_tuple_an_array_or_numbers_of_numpy(
  as_people_keep_them: Callable[[list[int]], Any], protocol: int
) -> None:
  split = draw(30, 10)
  labels = as_people_keep_them(split.labels.tolist())
  names = np.array(['ä.png', 'b.png'])
  content = {'data': planes(split), 'labels': labels, 'filenames': names}
  file = pickle.dumps(content, protocol)
  assert_equal(batches.read_pickle('f', file, 'labels'), split)
  assert unpickle('f', file)['filenames'] == ['ä.png', 'b.png']


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_names_may_be_an_array_or_strings_of_numpy(protocol: int) -> None:
  for names in (np.array(['cat', 'dog']), np.array([b'cat', b'dog']), ('cat', np.str_('dog'))):
    file = pickle.dumps({'label_names': names}, protocol)
    assert batches.read_pickled_names('f', file, 'label_names') == ('cat', 'dog')


def test_a_value_under_many_keys_is_made_once() -> None:
  names = np.array(['cat', 'dog'])
  read = unpickle('f', pickle.dumps({'a': names, 'b': names, 'c': (np.int8(1),)}))
  assert read['a'] == ['cat', 'dog'] and read['a'] is read['b'] and read['c'] == [1]


def test_labels_that_are_no_integers_are_refused() -> None:
  split = draw(3, 10)
  for labels in (np.zeros(3), [0, 1.0, 2], np.eye(3, dtype=int), np.int64(3), list(np.zeros(3))):
    file = pickle.dumps({'data': planes(split), 'labels': labels})
    assert 'no list of integers' in message(lambda: batches.read_pickle('f', file, 'labels'))  # noqa: B023


def array_of(dtype: bytes, content: bytes = bytes(8)) -> bytes:
  """A dictionary with an array of one element of a dtype that is given by its operations."""
  return (
    b'}U\x01acnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x01t'
    + dtype + b'\x89U' + bytes([len(content)]) + content + b'tbs.'
  )  # fmt: skip


def dtype_of(kind: bytes, state: bytes) -> bytes:
  """The operations that make a dtype and give it the rest of its state."""
  made = b'cnumpy\ndtype\n(U' + bytes([len(kind)]) + kind + b'K\x00K\x01tR'
  return made + b'(K\x03U\x01|' + state + b'tb'


def encoded_by(codec: bytes) -> bytes:
  """A dictionary with a text, which a codec of Python makes into bytes."""
  names = b''.join(b'X' + len(name).to_bytes(4, 'little') + name for name in (b'text', codec))
  return b'}U\x01ac_codecs\nencode\n(' + names + b'tRs.'


def doubled(levels: int) -> bytes:
  """The operations that make a tuple of twice the same tuple, of twice the same tuple, ..."""
  return b')' + b'q\x00h\x00\x86' * levels


def used_often(value: bytes, use: bytes) -> bytes:
  """A dictionary with a list of the results of 100 uses of one value, which is put at index 0."""
  return b'}U\x01a(' + value + b'q\x00' + use * 100 + b'ls.'


def strings(content: bytes) -> bytes:
  """A dictionary with an array of strings of one letter each."""
  array = array_of(dtype_of(b'S1', b'NNNK\x01K\x01K\x00'), b'')
  return array.replace(b'\x89U\x00', b'\x89' + long(content)).replace(
    b'(K\x01(K\x01t', b'(K\x01(J' + len(content).to_bytes(4, 'little') + b't'
  )


def long(content: bytes) -> bytes:
  """The operation that puts bytes on the stack."""
  return b'T' + len(content).to_bytes(4, 'little') + content


LETTERS = b'a' * (1 << 20)
PLAIN = b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00'
OBJECT = b'cnumpy\ndtype\n(U\x01OK\x00K\x01tR'
# An object at address 0x4141414141414141, which NumPy would release together with the array.
FIELD = b'X\x01\x00\x00\x00o'
FORGED = dtype_of(b'V8', b'N(' + FIELD + b't}' + FIELD + b'(' + OBJECT + b'K\x00tsK\x08K\x01K\x01')

HOSTILE = {
  'a dtype with fields of objects': (array_of(FORGED, b'A' * 8), 'damaged'),
  'a dtype of objects': (array_of(dtype_of(b'O', PLAIN)), 'damaged'),
  'a dtype with flags': (array_of(dtype_of(b'u1', PLAIN[:-1] + b'\x3f'), b'A'), 'damaged'),
  'a dtype with a size of its own': (
    array_of(dtype_of(b'V8', b'NNNK\x08K\x01K\x00')), 'damaged',
  ),
  'a dtype with a subarray': (
    array_of(dtype_of(b'u1', b'(U\x02u1(M\xff\xffttNNK\x01K\x01K\x00'), b'A'), 'damaged',
  ),
  'an array of more than its bytes': (array_of(dtype_of(b'u8', PLAIN), bytes(7)), 'damaged'),
  'an array with strides of zero': (
    b'}U\x01acnumpy\nndarray\n((J\x00\x00\x00\x40tU\x02u1U\x01AK\x00(K\x00ttRs.', 'damaged',
  ),
  'a length beyond all bytes': (
    array_of(dtype_of(b'u1', PLAIN)).replace(b'(K\x01t', b'(' + b'\x8a\xff' + b'~' * 255 + b't'),
    'damaged',
  ),
  'a key that takes hours to hash': (b'}' + doubled(60) + b'Ns.', 'damaged'),
  'a dictionary of such a key': (b'(' + doubled(60) + b'Nd.', 'damaged'),
  'a name that takes hours to hash': (doubled(60) + doubled(60) + b'\x93.', 'damaged'),
  'a set': (b'\x8f(' + doubled(60) + b'\x90.', 'damaged'),
  'a class name that takes hours to write': (
    b'}U\x05names(' + doubled(60) + b'ls.', 'no list of strings',
  ),
  'a string with a size of its own': (
    array_of(dtype_of(b'S8', b'NNNK\x07K\x01K\x00')), 'damaged',
  ),
  'a string of an endless size': (
    array_of(dtype_of(b'S99999', PLAIN)), 'damaged',
  ),
  'characters beyond those of Unicode': (
    array_of(dtype_of(b'U2', b'NNNK\x08K\x04K\x08'), b'\xff' * 8), 'damaged',
  ),
  'a number with more than its bytes': (
    b'}U\x01acnumpy.core.multiarray\nscalar\n(' + dtype_of(b'u1', PLAIN) + b'U\x02AAtRs.',
    'damaged',
  ),
  'text in punycode': (encoded_by(b'punycode'), 'damaged'),
  'a compressed bomb': (encoded_by(b'zlib'), 'damaged'),
  'a text that many calls encode': (
    used_often(b'X' + long(LETTERS)[1:], b'c_codecs\nencode\n(h\x00X\x06\x00\x00\x00latin1tR'),
    'damaged (ValueError)',
  ),
  'a name of many dtypes': (
    used_often(long(LETTERS), b'cnumpy\ndtype\n(h\x00K\x00K\x01tR'), 'damaged (ValueError)',
  ),
  'arguments that many calls share': (
    used_often(
      b'(U\x02u1' + b'N' * 100_000 + b't', b'cnumpy\ndtype\nh\x00R'
    ), 'damaged (ValueError)',
  ),
  'long keys that are compared many times': (
    b'}' + long(LETTERS) + b'q\x00Ns' + long(LETTERS) + b'q\x01' + b'Nsh\x00Nsh\x01' * 100 + b'Ns.',
    'damaged (ValueError)',
  ),
  'a string for each byte': (strings(LETTERS * 2), 'damaged (ValueError)'),
  'one name many times': (
    b'}U\x05names(' + long(LETTERS) + b'q\x00' + b'h\x00' * 100 + b'ls.', 'longer names',
  ),
  'a state for a list': (b'}U\x01a]}U\x01aNsbs.', 'damaged'),
  'a state for a name': (b'}U\x01acnumpy\nndarray\n}U\x01aNsbs.', 'damaged'),
  'a call of a string': (b'}U\x01aU\x01a)Rs.', 'damaged'),
  'an instance of a class': (b'(ios\nsystem\n.', 'damaged'),
  'an extension': (b'\x82\x01.', 'damaged'),
  'a persistent name': (b'Pa\n.', 'damaged'),
  'bytes of a petabyte': (b'}U\x01a\x96' + (1 << 50).to_bytes(8, 'little') + b'as.', 'damaged'),
  'a name of another module': (b'cos\nsys\x1b[2Jtem\n.', r"f refers to 'os.sys\x1b[2Jtem', which"),
  'a long name': (b'c' + b'o' * 9999 + b'\nsystem\n.', "o', which"),
}  # fmt: skip


@pytest.mark.parametrize('case', HOSTILE)
def test_hostile_pickles_are_refused_at_once(case: str) -> None:
  content, words = HOSTILE[case]
  refusal = message(lambda: batches.read_pickled_names('f', content, 'names'))
  assert refusal.startswith('f ') and words in refusal and len(refusal) < 200


def test_more_operations_than_any_honest_file_has_are_refused(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(pickle_machine, 'MOST_OPERATIONS', 1000)
  content = b'}U\x05names(' + b']' * 900 + b'ls.'
  assert len(unpickle('f', content)['names']) == 900
  content = b'}U\x05names(' + b']' * 1000 + b'ls.'
  assert message(lambda: unpickle('f', content)) == 'f is damaged (ValueError); fetch it again'


def test_honest_calls_in_the_form_of_the_hostile_ones_are_read() -> None:
  """Shows that what the cases above change, and nothing else, is refused."""
  read = unpickle('f', array_of(dtype_of(b'u8', PLAIN), bytes(range(8))))
  assert read['a'].tolist() == [int.from_bytes(range(8), 'little')]
  assert unpickle('f', encoded_by(b'latin1')) == {'a': b'text'}


def test_strings_that_cost_no_more_than_the_file_allows_are_read() -> None:
  assert unpickle('f', strings(b'abc')) == {'a': [b'a', b'b', b'c']}


def test_an_array_has_no_more_axes_than_numpy_makes() -> None:
  """The product of a million lengths would take hours."""
  assert PickledArray(b'a', shape=(1,) * 64).make().ndim == 64
  with pytest.raises(ValueError, match='too many axes'):
    PickledArray(b'a', shape=(1,) * 65).make()


def test_the_memo_may_have_any_index() -> None:
  """Python's unpickler would reserve 64 GB for the values before this one."""
  assert unpickle('f', b'}U\x01aK\x05r\xff\xff\xff\xffs.') == {'a': 5}
