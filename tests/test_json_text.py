"""JSON that is deep, huge or none: each reader answers in one line, or goes on without it."""

import json
import pathlib
from collections.abc import Callable

import pytest

from cifar_jax import json_text
from cifar_jax.data import cache
from cifar_jax.report import page_data, thumbnails
from cifar_jax.runs import checksums, results, workdir
from tests.support.fake_cifar import message

# Deeper than Python's stack, a number beyond Python's limit of digits, cut off, and empty.
TEXTS = {
  'lists': '[' * 100_000,
  'objects': '{"a":' * 100_000,
  'digits': f'{{"step": 1{"0" * 5000}}}',
  'cut': '{"step": 1',
  'empty': '',
}
READERS: dict[str, Callable[[pathlib.Path], object]] = {
  'config.json': workdir.read_config,
  'result.json': results.read_result,
  'metrics.jsonl': results.read_records,
}


@pytest.mark.parametrize('text', TEXTS)
def test_every_fault_is_a_value_error(text: str) -> None:
  with pytest.raises(ValueError):
    json_text.parse(TEXTS[text])
  assert json_text.parse('{"a": [1, null]}') == {'a': [1, None]}


@pytest.mark.parametrize('text', TEXTS)
@pytest.mark.parametrize('name', READERS)
def test_faulty_files_of_a_run_are_one_line(tmp_path: pathlib.Path, name: str, text: str) -> None:
  line = json.dumps({'step': 1, 'epoch': 0.1, 'split': 'train'}) if name == 'metrics.jsonl' else ''
  (tmp_path / name).write_text(f'{TEXTS[text]}\n{line}\n')
  refusal = message(lambda: READERS[name](tmp_path))
  assert name in refusal and len(refusal) < 400


@pytest.mark.parametrize('text', TEXTS)
def test_faulty_files_that_nothing_depends_on_are_passed_over(
  tmp_path: pathlib.Path, text: str
) -> None:
  (tmp_path / 'lesion.json').write_text(TEXTS[text])
  assert page_data.objects(tmp_path) == {} and thumbnails.read(tmp_path / 'lesion.json') == []
  (tmp_path / 'record.json').write_text(TEXTS[text])
  assert cache.read(tmp_path, None) is None
  (tmp_path / checksums.NAME).write_text(TEXTS[text])
  assert checksums.damage(tmp_path) == f'{checksums.NAME} is not as it was written'
