"""The page of a run: whole, safe, and telling the truth."""

import html.parser
import json
import pathlib
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from cifar_jax import command
from cifar_jax.errors import InputError
from cifar_jax.report import __main__ as report_command
from cifar_jax.report import markup, page, runs

CONFIG = {
  'seed': 3,
  'data': {'name': 'cifar10', 'data_dir': '<script>alert("data")</script>'},
  'model': {'name': 'resnet20'},
  'train': {'num_epochs': 2},
}
RESULT = {
  'test': {'accuracy': 0.875, 'top5_accuracy': 0.99, 'loss': 0.4},
  'num_params': 269722,
  'num_epochs': 2,
  'seconds': 95.0,
  'images_per_second': 1000.0,
  'device': '1 x cpu',
  'commit': 'abc',
  'command': 'python -m cifar_jax.main --config "a & b"',
  'published': {'error_percent': 8.75, 'source': 'He et al. 2015, table 6'},
}
RECORDS = [
  {'step': 4, 'epoch': 0.8, 'split': 'train', 'loss': 2.0, 'accuracy': 0.2},
  {'step': 5, 'epoch': 1.0, 'split': 'train', 'loss': 2.0, 'accuracy': 0.3},
  {'step': 9, 'epoch': 1.8, 'split': 'train', 'loss': 1.0, 'accuracy': 0.6},
  {'step': 10, 'epoch': 2.0, 'split': 'train', 'loss': 1.0, 'accuracy': 0.5},
  {'step': 10, 'epoch': 2.0, 'split': 'test', 'loss': 0.4, 'accuracy': 0.875},
]


class Reader(html.parser.HTMLParser):
  """What a browser makes of a page: elements, balanced or not, and the text outside of styles."""

  def __init__(self, text: str):
    super().__init__()
    self.open, self.tags, self.text = [], [], ''
    self.feed(text)
    assert self.open == []

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag not in ('meta', 'img', 'br'):
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if 'style' not in self.open:
      self.text += data + '\n'


@pytest.fixture
def run(tmp_path):
  return make(tmp_path / 'a<b>c')


def make(workdir: pathlib.Path, **config) -> pathlib.Path:
  workdir.mkdir()
  (workdir / 'config.json').write_text(json.dumps(CONFIG | config))
  (workdir / 'result.json').write_text(json.dumps(RESULT))
  (workdir / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, RECORDS)) + '\n')
  return workdir


def read(workdirs, path) -> tuple[Reader, str]:
  text = page.write(workdirs, path).read_text()
  return Reader(text), text


def test_the_page_tells_the_result_beside_the_published_one(run, tmp_path):
  seen, _ = read([run], tmp_path / 'page.html')
  assert '12.50 % test error' in seen.text
  assert 'Published: 8.75 % (He et al. 2015, table 6).' in seen.text
  for told in ('269,722', '1 min 35 s', 'python -m cifar_jax.main --config "a & b"', 'abc'):
    assert told in seen.text
  # Of the last epoch: 4 steps at 40 % error and one at 50 %.
  assert '42.00 %' in seen.text


def test_nothing_is_loaded_run_or_left_unescaped(run, tmp_path):
  seen, text = read([run], tmp_path / 'page.html')
  assert 'script' not in {tag for tag, _ in seen.tags}
  assert '<script>alert("data")</script>' in seen.text.replace('\\', '')
  for tag, attributes in seen.tags:
    assert not {'href', 'srcset', 'onload', 'onclick'} & attributes.keys()
    assert attributes.get('src', 'data:image/png;base64,').startswith('data:image/png;base64,')
    assert tag not in ('link', 'iframe', 'object')
  assert 'url(' not in text and '@import' not in text
  policy = [a for tag, a in seen.tags if a.get('http-equiv') == 'Content-Security-Policy']
  assert "default-src 'none'" in policy[0]['content']


def test_every_picture_has_words(run, tmp_path):
  (run / 'analysis').mkdir()
  figure = Figure(figsize=(1, 1))
  figure.subplots().imshow(np.zeros((2, 2)))
  figure.savefig(run / 'analysis' / 'lesion.png')
  (run / 'analysis' / 'lesion.json').write_text(
    json.dumps({'checkpoint': 'best', 'split': 'test', 'num_images': 256})
  )
  (run / 'analysis' / 'torn.json').write_text('{"checkp')
  (run / 'evaluation').mkdir()
  classes = [{'name': 'c<a>t', 'images': 5, 'precision': None, 'recall': 0.5, 'f1': 0.25}]
  (run / 'evaluation' / 'test_last.json').write_text(json.dumps({'classes': classes}))
  seen, _ = read([run], tmp_path / 'page.html')
  images = [attributes for tag, attributes in seen.tags if tag == 'img']
  assert [image['alt'] for image in images] == [
    *('Loss and error over the epochs', 'Lesion of a<b>c'),
  ]
  assert 'best checkpoint, 256 test images' in seen.text
  assert 'c<a>t' in seen.text and '0.250' in seen.text


def test_of_several_runs_the_differing_keys_come_first(run, tmp_path):
  other = make(tmp_path / 'other', seed=4)
  seen, text = read([run, other], tmp_path / 'page.html')
  assert '2 runs side by side' in seen.text and '4 keys are the same' in seen.text
  differing = text[text.index('differing') : text.index('keys are the same')]
  assert '>seed<' in differing and '>model.name<' not in differing


def test_a_run_that_goes_on_says_how_far_it_is(run, tmp_path):
  (run / 'result.json').unlink()
  seen, _ = read([run], tmp_path / 'page.html')
  assert 'Not finished: epoch 2 of 2.' in seen.text
  (run / 'metrics.jsonl').unlink()
  seen, _ = read([run], tmp_path / 'page.html')
  assert 'Not finished: epoch 0 of 2.' in seen.text


def test_the_command_writes_into_the_run_and_refuses_what_is_none(run, monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', ['report', str(run)])
  report_command.main()
  assert (run / 'report.html').read_text().startswith('<!doctype html>')
  assert not list(run.glob('*.tmp'))
  monkeypatch.setattr(sys, 'argv', ['report', 'nowhere'])
  with pytest.raises(SystemExit) as exit_:
    command.run(report_command.main)
  assert exit_.value.code == 2 and capsys.readouterr().err.count('\n') == 1
  with pytest.raises(InputError, match='cannot write'):
    page.write([run], run / 'no' / 'page.html')


def test_markup_escapes_all_but_itself():
  made = markup.tag('p', 'a < b', None, markup.tag('b', 3), class_='"x"', title=None)
  assert made == '<p class="&quot;x&quot;">a &lt; b<b>3</b></p>'
  assert markup.tag('img', src='x') == '<img src="x">'
  assert markup.section('Empty', None) == ''


def test_the_training_error_is_of_the_last_epoch_alone():
  assert runs.last_epoch_error([]) is None
  assert runs.last_epoch_error(RECORDS[:1]) == pytest.approx(80.0)
  assert runs.last_epoch_error(RECORDS) == pytest.approx((4 * 40 + 50) / 5)
