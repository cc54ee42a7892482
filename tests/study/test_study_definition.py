"""A study's file is checked as a whole before anything is trained."""

import pathlib

import pytest

from cifar_jax.errors import InputError
from cifar_jax.study import definition

TEXT = """
STUDY = {{
  'title': 'One net',
  'source': 'Nobody 2026, table 0',
  {study}
  'entries': [{{'label': 'ResNet-8', 'config': 'resnet.py:depth=8', {entry}}}],
}}
"""


def load(folder: pathlib.Path, entry: str = '', study: str = '') -> definition.Study:
  """Loads a study whose entry and whose own table have further keys, or keys given once more."""
  path = folder / 'one.py'
  path.write_text(TEXT.format(entry=entry, study=study))
  return definition.load(path)


def test_numbers_in_percent_and_none_are_published_errors(tmp_path: pathlib.Path) -> None:
  [entry] = load(tmp_path, "'published': 5, 'published_train': None").entries
  assert (entry.published, entry.published_train) == (5, None)


@pytest.mark.parametrize(
  ('entry', 'words'),
  [
    ("'published': '5.1'", "published is '5.1'; it must be an error in percent"),
    ("'published': True", 'published is True'),
    ("'published_train': float('nan')", 'published_train is nan'),
    ("'published': 105", 'published is 105'),
    ("'label': None", 'label is None; it must be a text'),
    ("'label': 7", 'label is 7'),
    ("'label': 'x' * 201", 'at most 200 letters'),
    ("'label': 'Table.md'", 'its directory table.md would be in the place of a file of the study'),
    ("'label': '-study.json-'", 'its directory study.json would be'),
    ("'config': None", 'config is None'),
    ("'overrides': None", 'overrides are None; they must be a dict'),
    ("'overrides': ['seed=1']", 'they must be a dict'),
    ("'overrides': {'data.data_dir': None}", "an override is 'data.data_dir': None"),
    ("'overrides': {1: 2}", 'an override is 1: 2'),
  ],
)
def test_a_wrong_value_of_an_entry_is_named(tmp_path: pathlib.Path, entry: str, words: str) -> None:
  with pytest.raises(InputError) as info:
    load(tmp_path, entry)
  assert 'one.py: entry ' in str(info.value) and words in str(info.value)


@pytest.mark.parametrize('key', ['title', 'source', 'overrides'])
def test_a_wrong_value_of_the_study_itself_is_named(tmp_path: pathlib.Path, key: str) -> None:
  with pytest.raises(InputError, match=rf'one\.py: STUDY: {key} (is|are) None; '):
    load(tmp_path, study=f"'{key}': None,")
