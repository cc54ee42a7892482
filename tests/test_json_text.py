"""JSON that is deep, huge, wrong or none: each reader answers in one line, or does without it."""

import json
import math
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from cifar_jax import json_text
from cifar_jax.data import cache
from cifar_jax.report import evaluations, page_data, study_table, thumbnails
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


RECORD: dict[str, Any] = {'step': 1, 'epoch': 0.1, 'split': 'train', 'loss': 2.0, 'accuracy': 0.5}
RESULT: dict[str, Any] = {
  'test': {'accuracy': 0.5, 'loss': 2.0},
  'num_epochs': 1,
  'seconds': 2.0,
  'device': 'cpu',
}
ENTRY = {'label': 'one', 'epochs': 1, 'full_epochs': 1, 'runs': ['one/seed0']}
STUDY = {'study': 's', 'title': 't', 'source': 'u', 'changes': [], 'entries': [ENTRY]}
# Values that some reader would add, compare, round, draw or count; and the name that is reported.
WRONG_RECORDS: list[tuple[dict[str, Any], str]] = [
  ({'step': '1'}, 'step'),
  ({'step': 1.5}, 'step'),
  ({'step': True}, 'step'),
  ({'step': -1}, 'step'),
  ({'epoch': None}, 'epoch'),
  ({'epoch': math.inf}, 'epoch'),
  ({'epoch': math.nan}, 'epoch'),
  ({'split': []}, 'split'),
  ({'split': 'dev'}, 'split'),
  ({'loss': '2.0'}, 'loss'),
  ({'loss': 10**400}, 'loss'),
  ({'accuracy': {}}, 'accuracy'),
  ({'learning_rate': [0.1]}, 'learning_rate'),
  ({'images_per_second': 'fast'}, 'images_per_second'),
  ({'each': 0.5}, 'each'),
  ({'each': {'accuracy': 0.5}}, 'each.accuracy'),
  ({'deviation': {'accuracy': 'x'}}, 'deviation.accuracy'),
]
WRONG_RESULTS: list[tuple[dict[str, Any], str]] = [
  ({'test': 0.5}, 'test'),
  ({'test': {'accuracy': '0.5'}}, 'test.accuracy'),
  ({'test': {'accuracy': math.inf}}, 'test.accuracy'),  # whose deviation over seeds is none
  ({'seconds': math.inf}, 'seconds'),
  ({'num_epochs': None}, 'num_epochs'),
  ({'device': 1}, 'device'),
  ({'seeds': []}, 'seeds'),
  ({'best': {'epoch': 1}}, 'best.test'),
  ({'published': 5.1}, 'published'),
  ({'versions': ['jax']}, 'versions'),
  ({'commit': 7}, 'commit'),
]


@pytest.mark.parametrize(('change', 'name'), WRONG_RECORDS)
def test_a_record_of_wrong_types_is_named_or_as_the_last_one_left_out(
  tmp_path: pathlib.Path, change: dict[str, Any], name: str
) -> None:
  wrong, right = json.dumps(RECORD | change), json.dumps(RECORD)
  (tmp_path / 'metrics.jsonl').write_text('\n'.join([right, wrong, right]) + '\n')
  expected = f'metrics.jsonl:2 is not a record of metrics ({name} is'
  assert expected in message(lambda: results.read_records(tmp_path))
  (tmp_path / 'metrics.jsonl').write_text('\n'.join([right, wrong]) + '\n')
  assert results.read_records(tmp_path) == [RECORD]


def test_records_of_a_diverged_run_and_of_several_seeds_are_read(tmp_path: pathlib.Path) -> None:
  several = {'deviation': {'accuracy': 0.1}, 'each': {'accuracy': [0.4, 0.6]}, 'loss': math.inf}
  records = [RECORD | several, RECORD | {'split': 'test', 'learning_rate': 0, 'new key': 'new'}]
  (tmp_path / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, records)) + '\n{"step": 2')
  assert results.read_records(tmp_path) == records


def test_records_that_were_merged_from_two_files_have_a_mean() -> None:
  assert results.last_epoch_mean([RECORD, RECORD | {'accuracy': 0.9}], 'accuracy') == 0.5
  assert len(results.training_curve([RECORD, RECORD], 'loss')[0]) == 1


@pytest.mark.parametrize(('change', 'name'), WRONG_RESULTS)
def test_a_result_of_wrong_types_is_named(
  tmp_path: pathlib.Path, change: dict[str, Any], name: str
) -> None:
  (tmp_path / 'result.json').write_text(json.dumps(RESULT))
  assert results.read_result(tmp_path) == RESULT
  (tmp_path / 'result.json').write_text(json.dumps(RESULT | change))
  assert f'result.json: {name} is missing or wrong' in message(
    lambda: results.read_result(tmp_path)
  )


def test_a_page_and_a_study_name_wrong_types(tmp_path: pathlib.Path) -> None:
  config = {'seed': 0, 'data': {'name': 'cifar10'}, 'model': {'name': 'resnet20'}}
  (tmp_path / 'config.json').write_text(json.dumps(config | {'train': {'num_epochs': [1]}}))
  assert 'config.json: train.num_epochs is' in message(lambda: page_data.read(tmp_path))
  for change, name in (({'entries': [ENTRY | {'runs': [1]}]}, 'entries'), ({'title': 1}, 'title')):
    (tmp_path / 'study.json').write_text(json.dumps(STUDY | change))
    assert f'no study ({name} is' in message(lambda: study_table.read(tmp_path))
  (tmp_path / 'evaluation').mkdir()
  classes = [{'name': 'cat', 'images': 3, 'precision': None, 'recall': 0.5, 'f1': 0.25}]
  for content, is_shown in ((classes, True), (3, False), ([{'name': 'cat'}], False)):
    (tmp_path / 'evaluation' / 'test.json').write_text(json.dumps({'classes': content}))
    shown = [row for group in evaluations.read(tmp_path, {}) for row in group]
    assert any('classes' in row.content for row in shown) == is_shown


def test_larger_files_than_this_program_writes_are_not_read(tmp_path: pathlib.Path) -> None:
  names = {'metrics.jsonl': 1 << 30, 'config.json': 64 << 20, 'result.json': 64 << 20}
  for name, limit in names.items():
    with (tmp_path / name).open('wb') as file:
      file.truncate(limit + 1)  # takes no space on disk
    assert f'more than {limit >> 20:,} MiB' in message(lambda: READERS[name](tmp_path))  # noqa: B023
  (tmp_path / 'result.json').rename(tmp_path / checksums.NAME)
  assert checksums.damage(tmp_path) == f'{checksums.NAME} is not as it was written'
  (tmp_path / checksums.NAME).rename(tmp_path / 'lesion.json')
  assert page_data.objects(tmp_path) == {}


@pytest.mark.parametrize('text', TEXTS)
def test_every_fault_is_a_value_error(text: str) -> None:
  with pytest.raises(ValueError):
    json_text.parse(TEXTS[text])
  assert json_text.parse('{"a": [1, null]}') == {'a': [1, None]}


@pytest.mark.parametrize('text', TEXTS)
@pytest.mark.parametrize('name', READERS)
def test_faulty_files_of_a_run_are_one_line(tmp_path: pathlib.Path, name: str, text: str) -> None:
  line = json.dumps(RECORD) if name == 'metrics.jsonl' else ''
  (tmp_path / name).write_text(f'{TEXTS[text]}\n{line}\n')
  refusal = message(lambda: READERS[name](tmp_path))
  assert name in refusal and len(refusal) < 400


@pytest.mark.parametrize('text', TEXTS)
def test_faulty_files_that_nothing_depends_on_are_passed_over(
  tmp_path: pathlib.Path, text: str
) -> None:
  (tmp_path / 'lesion.json').write_text(TEXTS[text])
  assert page_data.objects(tmp_path) == {} and thumbnails.read(tmp_path / 'lesion.json', {}) == []
  (tmp_path / 'record.json').write_text(TEXTS[text])
  assert cache.read(tmp_path, None) is None
  (tmp_path / checksums.NAME).write_text(TEXTS[text])
  assert checksums.damage(tmp_path) == f'{checksums.NAME} is not as it was written'
