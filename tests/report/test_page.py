"""The page on a run: its content, its safety, and the command that writes it."""

import dataclasses
import html.parser
import json
import pathlib
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from cifar_jax import cli
from cifar_jax.errors import InputError
from cifar_jax.report import (
  __main__,
  evaluations,
  markup,
  page,
  page_data,
  page_figures,
  thumbnails,
)
from cifar_jax.runs.results import last_epoch_mean, training_curve

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


class ParsedPage(html.parser.HTMLParser):
  """A parsed page; checks that its elements are balanced.

  Attributes:
    tags: name and attributes of each element.
    text: text outside of style sheets.
    headings: text of the headings of the page and of its sections.
  """

  def __init__(self, text: str) -> None:
    super().__init__()
    self.open: list[str] = []
    self.headings: list[str] = []
    self.tags: list[tuple[str, dict[str, str]]] = []
    self.text = ''
    self.feed(text)
    assert self.open == []

  def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
    self.tags.append((tag, {name: value or '' for name, value in attrs}))
    if tag not in ('meta', 'img', 'br'):
      self.open.append(tag)

  def handle_endtag(self, tag: str) -> None:
    assert self.open.pop() == tag

  def handle_data(self, data: str) -> None:
    if 'style' not in self.open:
      self.text += data + '\n'
    if self.open and self.open[-1] in ('h1', 'h2'):
      self.headings.append(data)


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
  """The workdir of a finished run whose name needs escaping."""
  return make_run(tmp_path / 'a<b>c')


def make_run(workdir: pathlib.Path, **config: Any) -> pathlib.Path:
  workdir.mkdir()
  (workdir / 'config.json').write_text(json.dumps(CONFIG | config))
  (workdir / 'result.json').write_text(json.dumps(RESULT))
  (workdir / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, RECORDS)) + '\n')
  return workdir


def write_page(workdirs: list[pathlib.Path], path: pathlib.Path) -> tuple[ParsedPage, str]:
  """Writes the page on some runs; returns it parsed and as text."""
  text = page.write(workdirs, path).read_text()
  return ParsedPage(text), text


def test_the_page_states_the_result_and_the_published_error(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  seen, _ = write_page([run], tmp_path / 'page.html')
  assert '12.50 % test error' in seen.text
  assert 'Published: 8.75 % (He et al. 2015, table 6).' in seen.text
  for detail in ('269,722', '1 min 35 s', 'python -m cifar_jax.main --config "a & b"', 'abc'):
    assert detail in seen.text
  # Of the last epoch: 4 steps at 40 % error and one at 50 %.
  assert '42.00 %' in seen.text


def test_the_page_says_that_test_images_were_seen_before(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  clean, _ = write_page([run], tmp_path / 'clean.html')
  assert 'init.source' not in clean.text
  leak = {'seen_by_source': {'test': 7, 'validation': 3}}
  (run / 'result.json').write_text(json.dumps(RESULT | leak))
  seen, _ = write_page([run], tmp_path / 'page.html')
  assert 'No test: init.source has seen 7 of the test images.' in seen.text
  both, _ = write_page([run, make_run(tmp_path / 'b')], tmp_path / 'both.html')
  assert both.text.count('init.source has seen 7 of these images') == 1


def test_the_page_loads_nothing_runs_no_script_and_escapes_text(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  seen, text = write_page([run], tmp_path / 'page.html')
  assert 'script' not in {tag for tag, _ in seen.tags}
  assert '<script>alert("data")</script>' in seen.text.replace('\\', '')
  for tag, attributes in seen.tags:
    assert not {'href', 'srcset', 'onload', 'onclick'} & attributes.keys()
    assert attributes.get('src', 'data:image/png;base64,').startswith('data:image/png;base64,')
    assert tag not in ('link', 'iframe', 'object')
  assert 'url(' not in text and '@import' not in text
  policy = [a for tag, a in seen.tags if a.get('http-equiv') == 'Content-Security-Policy']
  assert "default-src 'none'" in policy[0]['content']


def test_every_picture_has_an_alternative_text_and_a_caption(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  (run / 'analysis').mkdir()
  figure = Figure(figsize=(1, 1))
  figure.subplots().imshow(np.zeros((2, 2)))
  figure.savefig(run / 'analysis' / 'lesion.png')
  (run / 'analysis' / 'lesion.json').write_text(
    json.dumps({'checkpoint': 'best', 'split': 'test', 'num_images': 256})
  )
  (run / 'analysis' / 'incomplete.json').write_text('{"checkp')
  (run / 'evaluation').mkdir()
  classes = [{'name': 'c<a>t', 'images': 5, 'precision': None, 'recall': 0.5, 'f1': 0.25}]
  (run / 'evaluation' / 'test_last.json').write_text(json.dumps({'classes': classes}))
  seen, _ = write_page([run], tmp_path / 'page.html')
  images = [attributes for tag, attributes in seen.tags if tag == 'img']
  assert [image['alt'] for image in images] == [
    *('Loss and error over the epochs, panel 1', 'Loss and error over the epochs, panel 2'),
    'Blocks deleted and exchanged',
  ]
  assert 'Best checkpoint, 256 test images.' in seen.text
  assert 'c<a>t' in seen.text and '0.250' in seen.text


def test_a_page_on_several_runs_shows_differing_keys_first(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  other = make_run(tmp_path / 'other', seed=4)
  seen, text = write_page([run, other], tmp_path / 'page.html')
  assert '2 runs side by side' in seen.text and '4 keys are the same' in seen.text
  differing = text[text.index('>configuration<') : text.index('>Results<')]
  assert '>seed<' in differing and '>model.name<' not in differing
  # Before anything else there are the differences of the errors.
  assert seen.headings[:3] == ['2 runs side by side', 'Differences', 'Results']
  assert '+0.00 points' in text[: text.index('>configuration<')]


def test_runs_whose_folders_have_the_same_name_are_told_apart(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  for entry in ('a', 'b'):  # as in a study
    (tmp_path / entry).mkdir()
  runs = [make_run(tmp_path / entry / 'seed0', seed=seed) for seed, entry in enumerate('ab')]
  seen = page_data.read_side_by_side(runs)
  assert [run.name for run in seen] == ['a/seed0', 'b/seed0']
  drawn: dict[str, Any] = {}
  draw = page_figures.curves.compared_curves_figure

  def remembered(records: dict[str, Any]) -> Figure:
    drawn.update(records)
    return draw(records)

  monkeypatch.setattr(page_figures.curves, 'compared_curves_figure', remembered)
  page_figures.learning_curves(seen)
  assert list(drawn) == ['a/seed0', 'b/seed0']


SEEDS: dict[str, Any] = {
  'seeds': [3, 4],
  'test': {
    'accuracy': 0.75, 'loss': 0.5, 'deviation': {'accuracy': 0.01, 'loss': 0.1},
    'each': {'accuracy': [0.76, 0.74], 'loss': [0.4, 0.6]},
  },
}  # fmt: skip


def test_the_headline_of_several_seeds_is_their_mean_and_deviation(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  (run / 'result.json').write_text(json.dumps(RESULT | SEEDS))
  seen, _ = write_page([run], tmp_path / 'page.html')
  assert '25.00 ± 1.00 % test error' in seen.text
  assert 'Mean ± standard deviation of 2 seeds: 24.00, 26.00.' in seen.text


def test_the_headline_is_the_lower_error_of_one_view_and_of_several(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  for accuracy, best, other in (
    (0.9, '10.00 % test error, ten crops', '(12.50 % with one view)'),
    (0.8, '12.50 % test error', '(20.00 % ten crops)'),
  ):
    tta = {'views': 'ten_crop', 'test': {'accuracy': accuracy}}
    (run / 'result.json').write_text(json.dumps(RESULT | {'tta': tta}))
    seen, _ = write_page([run], tmp_path / 'page.html')
    assert f'{best}\n {other}' in seen.text


def test_runs_of_the_same_seeds_are_compared_by_a_paired_test(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  other = make_run(tmp_path / 'other')
  each = {'each': {'accuracy': [0.73, 0.70], 'loss': [0.4, 0.6]}, 'accuracy': 0.715}
  better, worse = RESULT | SEEDS, RESULT | SEEDS | {'test': SEEDS['test'] | each}
  (run / 'result.json').write_text(json.dumps(better))
  (other / 'result.json').write_text(json.dumps(worse))
  seen, _ = write_page([run, other], tmp_path / 'page.html')
  assert '+3.50 points' in seen.text and '95 % interval' in seen.text
  assert '-2.85 to +9.85' in seen.text  # 3.5 ± 12.706 * 0.707 / sqrt(2)


SCORECARD = {
  'split': 'test', 'checkpoint': 'last', 'tta': 'none', 'error_percent': 20.0,
  'confusion_matrix': [[4, 1], [1, 4]],
  'classes': [
    {'name': name, 'images': 5, 'precision': 0.8, 'recall': 0.8, 'f1': 0.8}
    for name in ('cat', 'dog')
  ],
}  # fmt: skip


def test_sections_have_a_fixed_order_and_headings_in_words(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  folder = run / 'evaluation'
  folder.mkdir()
  (run / 'analysis').mkdir()
  points = [{'position': 0.0, 'loss': 1.0, 'error': 0.1}, {'position': 1.0, 'loss': 2, 'error': 1}]
  landscape = {'analysis': 'landscape', 'model': 'a', 'run': 'b', 'to': '', 'points': points}
  (run / 'analysis' / 'landscape.json').write_text(json.dumps(landscape))
  for name, error, views in (('test_last', 20.0, 'none'), ('test_last_flip', 10.0, 'flip')):
    card = SCORECARD | {'error_percent': error, 'tta': views}
    card |= {'members': [{'workdir': 'runs/a'}]} if views == 'flip' else {}
    (folder / f'{name}.json').write_text(json.dumps(card))
  image = np.zeros((1, 2, 2, 3), np.uint8)
  mistake = {'true': 'cat', 'predicted': 'd<o>g', 'confidence': 0.993}
  thumbnails.write(folder / 'test_last_flip_mistakes.json', image, [mistake])
  guesses = {'name': 'my cat.jpg', 'guesses': [['cat', 0.5], ['dog', 0.25]]}
  thumbnails.write(folder / 'own_pictures.json', image, [guesses])
  earlier = SCORECARD | {'split': 'validation', 'members': [{'workdir': 'runs/a', 'step': 3}]}
  (folder / 'validation_last.json').write_text(json.dumps(earlier))
  seen, text = write_page([run], tmp_path / 'page.html')
  assert seen.headings[1:] == [
    *('Result', 'Learning curves', 'Confusion', 'Mistakes', 'Analyses', 'Own pictures'),
    *('Configuration', 'Origin'),
  ]
  # Of the two that differ in their views alone, the better is shown.
  assert seen.text.count('Test images, last epoch, with mirror images') == 2
  assert 'Error: with mirror images 10.00 %, one view 20.00 %.' in seen.text
  assert 'Validation images, after 3 steps' in seen.text  # the run has gone on since
  images = [attributes['alt'] for tag, attributes in seen.tags if tag == 'img']
  assert [alt for alt in images if 'onfusion' in alt] == [
    'Confusion matrix of a<b>c: Test images, last epoch, with mirror images',
    'Confusion matrix of a<b>c: Validation images, after 3 steps',
  ]
  assert 'cat → d<o>g' in images and 'Loss around the weights, panel 2' in images
  assert '99.3%' in seen.text and 'my cat.jpg' in images and 'width: 50.0%' in text


def test_an_analysis_of_two_runs_is_one_figure(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
  runs = [run, make_run(tmp_path / 'other')]
  for workdir in runs:
    (workdir / 'analysis').mkdir()
    results = {'analysis': 'landscape', 'model': 'a', 'run': workdir.name, 'to': ''}
    points = {'points': [{'position': 0.0, 'loss': 1.0, 'error': 0.1}]}
    (workdir / 'analysis' / 'landscape.json').write_text(json.dumps(results | points))
  seen, _ = write_page(runs, tmp_path / 'page.html')
  images = [attributes['alt'] for tag, attributes in seen.tags if tag == 'img']
  assert [alt for alt in images if 'weights' in alt] == [
    *('Loss around the weights, panel 1', 'Loss around the weights, panel 2')
  ]


def test_analyses_of_different_images_are_two_figures_and_their_errors_not_comparable(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  runs = [run, make_run(tmp_path / 'other')]
  for workdir, data in zip(runs, ('cifar10', 'shapes'), strict=True):
    (workdir / 'analysis').mkdir()
    results = {'analysis': 'landscape', 'model': 'a', 'run': workdir.name, 'to': ''}
    results |= {'images': f'{data} 40x32x32x3 0', 'split': 'test', 'checkpoint': 'last'}
    points = {'points': [{'position': 0.0, 'loss': 1.0, 'error': 0.1}], 'num_images': 40}
    (workdir / 'analysis' / 'landscape.json').write_text(json.dumps(results | points))
    (workdir / 'result.json').write_text(json.dumps(RESULT | {'test_sha256': data}))
  seen, _ = write_page(runs, tmp_path / 'page.html')
  images = [attributes['alt'] for tag, attributes in seen.tags if tag == 'img']
  assert len([alt for alt in images if 'weights' in alt]) == 4
  assert '40 test images of cifar10' in seen.text and '40 test images of shapes' in seen.text
  assert 'NOT COMPARABLE: the test images differ.' in seen.text


@pytest.mark.parametrize('with_views_first', [True, False])
def test_a_measure_that_only_one_run_has_is_in_the_results(
  run: pathlib.Path, tmp_path: pathlib.Path, with_views_first: bool
) -> None:
  other = make_run(tmp_path / 'other')
  tta = {'views': 'flip', 'test': {'accuracy': 0.9}}
  (other / 'result.json').write_text(json.dumps(RESULT | {'tta': tta}))
  workdirs = [other, run] if with_views_first else [run, other]
  seen, _ = write_page(workdirs, tmp_path / 'page.html')
  assert 'Test error over views' in seen.text and '10.00 %' in seen.text


def test_the_page_on_an_unfinished_run_states_its_epoch(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  (run / 'result.json').unlink()
  seen, _ = write_page([run], tmp_path / 'page.html')
  assert 'Not finished: epoch 2 of 2.' in seen.text
  (run / 'metrics.jsonl').unlink()
  seen, _ = write_page([run], tmp_path / 'page.html')
  assert 'Not finished: epoch 0 of 2.' in seen.text


def test_the_command_writes_into_the_workdir_and_refuses_other_folders(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  monkeypatch.setattr(sys, 'argv', ['report', str(run)])
  __main__.main()
  assert (run / 'report.html').read_text().startswith('<!doctype html>')
  assert not list(run.glob('*.tmp'))
  monkeypatch.setattr(sys, 'argv', ['report', 'nowhere'])
  with pytest.raises(SystemExit) as exit_:
    cli.run(__main__.main)
  assert exit_.value.code == 2 and capsys.readouterr().err.count('\n') == 1
  with pytest.raises(InputError, match='cannot write'):
    page.write([run], run / 'no' / 'page.html')


def test_markup_escapes_everything_except_html() -> None:
  element = markup.tag('p', 'a < b', None, markup.tag('b', 3), class_='"x"', title=None)
  assert element == '<p class="&quot;x&quot;">a &lt; b<b>3</b></p>'
  assert markup.tag('img', src='x') == '<img src="x">'
  assert markup.section('Empty', None) == ''


def test_the_training_error_is_the_mean_over_the_last_epoch() -> None:
  assert last_epoch_mean([], 'accuracy') is None
  assert last_epoch_mean(RECORDS[:1], 'accuracy') == pytest.approx(0.2)
  assert last_epoch_mean(RECORDS, 'accuracy') == pytest.approx((4 * 0.6 + 0.5) / 5)


def test_a_record_of_few_steps_is_no_point_of_the_training_curve() -> None:
  epochs, accuracies = training_curve(RECORDS, 'accuracy')
  assert epochs == [1.0, 2.0]  # each epoch has a record of 4 steps and one of a single step
  assert accuracies == pytest.approx([(4 * 0.2 + 0.3) / 5, (4 * 0.6 + 0.5) / 5])
  assert training_curve([], 'loss') == ([], [])


def test_the_own_test_comes_first_for_each_seed(tmp_path: pathlib.Path) -> None:
  folder = tmp_path / 'evaluation'
  folder.mkdir()
  members = [{'workdir': 'runs/a', 'step': 9}, {'workdir': 'runs/b', 'step': 9}]
  cards = {
    'a_validation_last': SCORECARD | {'split': 'validation'},
    'ensemble': SCORECARD | {'members': members},
    'svhn_test_last': SCORECARD | {'data': {'name': 'svhn'}},
    'folder_test_last': SCORECARD | {'data': {'name': 'folder', 'data_dir': '/pictures/mine'}},
    'test_last_seed0': SCORECARD,
    'test_last_seed1': SCORECARD | {'members': members[:1]},
  }
  for stem, card in cards.items():
    (folder / f'{stem}.json').write_text(json.dumps(card))
  names = [group[0].name for group in evaluations.read(tmp_path, {'num_steps': 9})]
  assert names[:2] == ['Test images, last epoch, seed 0', 'Test images, last epoch, seed 1']
  assert 'Test images, last epoch, ensemble of 2 (a, b)' in names[2:] and len(names) == 6
  assert 'folder (/pictures/mine), test images, last epoch' in names[2:]


@pytest.mark.parametrize(
  ('trial', 'words'),
  [
    ({}, ''),
    ({'checkpoint': None, 'members': None, 'tta': None}, ''),
    ({'checkpoint': 'last', 'tta': 'none', 'members': [{'step': 9}]}, ''),
    ({'checkpoint': 'last', 'members': [{'step': 6}], 'tta': 'flip'},
     ' (after 6 steps, with mirror images)'),
    ({'checkpoint': 'best', 'members': [{'step': 6, 'seed': 4}]},
     ' (best epoch by validation, seed 4)'),
    ({'checkpoint': 'last', 'members': [{'step': 9}] * 2}, ' (ensemble of 2)'),
  ],
)  # fmt: skip
def test_the_pictures_of_the_user_say_which_net_classified_them(
  run: pathlib.Path, trial: dict[str, Any], words: str
) -> None:
  result = {'num_steps': 9, 'best': {'step': 6}}
  (run / 'evaluation').mkdir()
  rows = [{'name': 'a.jpg', 'guesses': [['cat', 0.5]], 'by': trial}]
  thumbnails.write(run / 'evaluation' / 'own_pictures.json', np.zeros((1, 2, 2, 3), np.uint8), rows)
  read = dataclasses.replace(page_data.read(run), result=result)
  assert f'takes your pictures for{words}</h3>' in str(page_figures.own_pictures([read]))


@pytest.mark.parametrize(
  ('checkpoint', 'steps', 'words'),
  [
    ('last', (9, 9), 'last epoch'),
    ('last', (3, 9), 'after 3 and 9 steps'),
    ('last', (9, 3), 'after 3 and 9 steps'),
    ('last', (3, 3), 'after 3 steps'),
    ('best', (6, 3), 'best epoch by validation'),  # each run has a best epoch of its own
    ('best', (3, 6), 'after 3 and 6 steps'),
  ],
)
def test_an_ensemble_of_earlier_checkpoints_is_named_by_their_steps(
  tmp_path: pathlib.Path, checkpoint: str, steps: tuple[int, int], words: str
) -> None:
  (tmp_path / 'evaluation').mkdir()
  card = SCORECARD | {'checkpoint': checkpoint}
  card |= {'members': [{'workdir': f'runs/{i}', 'step': step} for i, step in enumerate(steps)]}
  (tmp_path / 'evaluation' / 'ensemble.json').write_text(json.dumps(card))
  ((evaluation,),) = evaluations.read(tmp_path, {'num_steps': 9, 'best': {'step': 6}})
  assert evaluation.name == f'Test images, {words}, ensemble of 2 (0, 1)'


def test_a_page_of_the_user_is_not_replaced_where_no_name_was_given(tmp_path: pathlib.Path) -> None:
  own, theirs = tmp_path / page.NAME, tmp_path / 'thesis.html'
  run = make_run(tmp_path / 'run')
  page.check_is_own(own, [run])  # there is none
  page.write([run], own)
  page.check_is_own(own, [run])
  theirs.write_text('my own thesis page')
  with pytest.raises(InputError, match=r'thesis.html would be replaced'):
    page.check_is_own(theirs, [run])


def test_a_page_of_several_runs_does_not_replace_one_of_others(tmp_path: pathlib.Path) -> None:
  runs = [make_run(tmp_path / name) for name in 'abc']
  path = tmp_path / page.NAME
  page.write(runs[:2], path)
  assert str(tmp_path) not in path.read_text()[:4096]
  page.check_is_own(path, runs[:2])
  with pytest.raises(InputError, match='a page on other runs: give --out'):
    page.check_is_own(path, runs[1:])


def test_a_page_of_several_runs_does_not_replace_that_of_the_run_it_stands_in(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.chdir(run)
  monkeypatch.setattr(sys, 'argv', ['report', '.', '.'])
  with pytest.raises(InputError, match='give --out'):
    __main__.main()
  assert not (run / 'report.html').exists()


def test_what_other_code_or_another_seed_gave_is_named(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  config = json.loads((run / 'config.json').read_text())
  config['train'] |= {'seeds': 2}
  (run / 'config.json').write_text(json.dumps(config))
  (run / 'result.json').write_text(json.dumps(RESULT | {'code': 'abc, def'}))
  for folder in ('analysis', 'evaluation'):
    (run / folder).mkdir()
  content = {'checkpoint': 'last', 'seed': 1, 'split': 'test', 'num_images': 5}
  for code in ('abc', 'def'):
    (run / 'analysis' / 'lesion_seed1.json').write_text(
      json.dumps(content | {'provenance': {'code': code}})
    )
    (run / 'evaluation' / 'test_last.json').write_text(
      json.dumps(SCORECARD | {'split': 'test', 'checkpoint': 'last', 'tta': 'none', 'code': code})
    )
    Figure(figsize=(1, 1)).savefig(run / 'analysis' / 'lesion_seed1.png')
    text = write_page([run], tmp_path / 'page.html')[0].text
    assert 'Seed 1, last checkpoint, 5 test images' in text
    assert ('5 test images, by other code' in text) == (code == 'abc')
    assert ('last epoch, by other code' in text) == (code == 'abc')
