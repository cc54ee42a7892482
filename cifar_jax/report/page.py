"""`report.html`: one run, or several side by side, on one page that needs nothing else.

Pictures are inside the page; there is no script, and a policy in the head forbids the browser to
load anything.
"""

import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import cifar_jax.report.evidence as evidence
import cifar_jax.report.files as files
import cifar_jax.report.markup as markup
import cifar_jax.report.plots as plots
from cifar_jax.report.evidence import Run
from cifar_jax.report.markup import Html, tag
from cifar_jax.report.style import CSS
from cifar_jax.report.summary import duration, of_seeds

NAME = 'report.html'
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_DATASETS = {'cifar10': 'CIFAR-10', 'cifar100': 'CIFAR-100'}
_NONE = '–'


def write(workdirs: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> pathlib.Path:
  """Writes the page of some runs, finished or not; an older one is replaced once this is whole.

  Args:
    workdirs: of the runs, at least one.
    path: of the page.

  Returns:
    The path.

  Raises:
    InputError: a directory holds no run or one that cannot be read, or the page cannot be written.
  """
  text = html([evidence.read(workdir) for workdir in workdirs])
  path = pathlib.Path(path)
  with files.replacing(path) as unfinished:
    unfinished.write_text(text, encoding='utf-8')
  return path


def html(runs: list[Run]) -> str:
  """The page of some runs."""
  title = _title(runs[0]) if len(runs) == 1 else f'{len(runs)} runs side by side'
  head = tag(
    'head',
    tag('meta', charset='utf-8'),
    tag('meta', name='viewport', content='width=device-width, initial-scale=1'),
    tag('meta', http_equiv='Content-Security-Policy', content=_POLICY),
    tag('title', title),
    tag('style', Html(CSS)),
  )
  parts = [
    tag('header', tag('h1', title), tag('p', _lead(runs)), _cards(runs[0], len(runs))),
    markup.section('Results', _results(runs)) if len(runs) > 1 else None,
    markup.section('Learning curves', _curves(runs)),
    markup.section('Evaluation', _pictures(runs, 'evaluation'), _classes(runs)),
    markup.section('Analyses', _pictures(runs, 'analysis')),
    markup.section('Configuration', _configuration(runs)),
    markup.section('Provenance', *(_provenance(run, len(runs)) for run in runs)),
  ]
  body = tag('body', tag('main', *parts))
  return f'<!doctype html>\n{tag("html", head, body, lang="en")}\n'


def _title(run: Run) -> str:
  data, seeds = run.config['data']['name'], run.result.get('seeds', ())
  title = f'{run.config["model"]["name"]} on {_DATASETS.get(data, data)}'
  return title + (f', mean of {len(seeds)} seeds' if seeds else '')


def _lead(runs: list[Run]) -> Any:
  if len(runs) > 1:
    return ', '.join(run.name for run in runs)
  run = runs[0]
  if not run.result:
    return f'Not finished: epoch {run.epoch:.4g} of {run.config["train"]["num_epochs"]:g}.'
  error = tag('strong', f'{run.test_error:.2f} % test error')
  published = run.published
  told = f' after {run.result["num_epochs"]:g} epochs.'
  if published:
    told += f' Published: {published["error_percent"]:.2f} % ({published["source"]}).'
  return markup.join(error, told)


def _measures(run: Run) -> dict[str, tuple[str, str]]:
  """What a run came to: name to value and a remark; of an unfinished one what is known."""
  result, best, published = run.result, run.result.get('best'), run.published
  measures = {
    'Test error': (_percent(run.test_error), f'last epoch{of_seeds(result.get("test", {}))}'),
    'Published': (
      (_percent(published['error_percent']), published['source']) if published else (_NONE, '')
    ),
    'Top-5 error': (_percent(run.error('test', 'top5_accuracy')), 'last epoch'),
    'Test loss': (_number(result.get('test', {}).get('loss'), '.4f'), 'nats'),
    'Training error': (_percent(run.train_error), 'mean of the last epoch'),
    'Test error, best': (
      (
        _percent(100 * (1 - best['test']['accuracy'])),
        f'by validation, epoch {best["epoch"]}{of_seeds(best["test"])}',
      )
      if best
      else (_NONE, '')
    ),
    'Parameters': (_number(result.get('num_params'), ','), ''),
    'Epochs': (f'{run.epoch:.4g}', f'of {run.config["train"]["num_epochs"]:g}'),
    'Time': (duration(result['seconds']) if result else _NONE, result.get('device', '')),
    'Speed': (_number(result.get('images_per_second'), ',.0f'), 'images/s, all included'),
  }
  if 'tta' in result:
    tta = result['tta']
    error = _percent(100 * (1 - tta['test']['accuracy']))
    measures['Test error over views'] = (error, f'{tta["views"]}, last epoch')
  return measures


def _percent(value: float | None) -> str:
  return _NONE if value is None else f'{value:.2f} %'


def _number(value: float | None, form: str) -> str:
  return _NONE if value is None else format(value, form)


def _cards(run: Run, num_runs: int) -> Html | None:
  if num_runs > 1:
    return None
  cards = [
    tag('div', tag('dt', name), tag('dd', value, tag('small', remark) if remark else None))
    for name, (value, remark) in _measures(run).items()
    if value != _NONE
  ]
  return tag('dl', *cards, class_='cards')


def _results(runs: list[Run]) -> Html:
  measured = [_measures(run) for run in runs]
  names = [name for name in measured[0] if any(told[name][0] != _NONE for told in measured)]
  rows = [
    [name]
    + [
      markup.join(value, tag('br'), tag('small', remark, class_='quiet')) if remark else value
      for value, remark in (told[name] for told in measured)
    ]
    for name in names
  ]
  return markup.table(['', *(run.name for run in runs)], rows)


def _curves(runs: list[Run]) -> Html | None:
  if not any(run.records for run in runs):
    return None
  if len(runs) == 1:
    figure = plots.learning_curves_figure(runs[0].records, _title(runs[0]))
  else:
    figure = plots.compared_curves_figure({run.name: run.records for run in runs})
  return tag('div', _figure(evidence.png(figure), 'Loss and error over the epochs'), class_='alone')


def _figure(png: bytes, alternative: str, *caption: Any) -> Html:
  image = tag('img', src=evidence.data_url(png), alt=alternative)
  told = tag('figcaption', *caption) if any(caption) else None
  return tag('figure', told, image, class_='wide' if evidence.is_wide(png) else None)


def _pictures(runs: list[Run], folder: str) -> Html:
  """The pictures of a folder; of several runs, those of the same name side by side."""
  found = [evidence.pictures(run.workdir / folder) for run in runs]
  shown = []
  for name in dict.fromkeys(name for pictures in found for name in pictures):
    title = name.replace('_', ' ').capitalize()
    shown.append(
      [
        _figure(
          pictures[name].read_bytes(),
          f'{title} of {run.name}',
          tag('h3', title if len(runs) == 1 else f'{title}: {run.name}'),
          evidence.settings(run.workdir / folder / f'{name}.json'),
        )
        for run, pictures in zip(runs, found, strict=True)
        if name in pictures
      ]
    )
  if len(runs) == 1:
    shown = [[figure for figures in shown for figure in figures]]
  return markup.join(*(tag('div', *figures, class_='side') for figures in shown if figures))


def _classes(runs: list[Run]) -> Html:
  """Precision, recall and F1 of each class, of each evaluation that has them."""
  parts = []
  for run in runs:
    for name, told in evidence.objects(run.workdir / 'evaluation').items():
      rows = [
        [row['name'], row['images'], *(_number(row[key], '.3f') for key in _SHARES)]
        for row in told.get('classes', ())
      ]
      if rows:
        caption = f'{run.name}: {name.replace("_", " ")}' if len(runs) > 1 else name
        table = markup.table(['class', 'images', *_SHARES], rows, caption)
        parts.append(tag('details', tag('summary', f'Classes: {caption}'), table))
  return markup.join(*parts)


_SHARES = ('precision', 'recall', 'f1')


def _configuration(runs: list[Run]) -> Html:
  """Each section of one run; of several, the keys that differ, and the rest folded away."""
  if len(runs) == 1:
    config = runs[0].config
    sections = {name: told for name, told in config.items() if isinstance(told, dict)}
    sections = {'run': {key: config[key] for key in config if key not in sections}} | sections
    tables = [
      markup.table([name, ''], [[key, json.dumps(told[key])] for key in sorted(told)])
      for name, told in sections.items()
    ]
    return tag('div', *tables, class_='sections')
  flat = [evidence.flatten(run.config) for run in runs]
  rows = {
    key: [json.dumps(told[key]) if key in told else _NONE for told in flat]
    for key in sorted(set().union(*flat))
  }
  differing = [[key, *cells] for key, cells in rows.items() if len(set(cells)) > 1]
  same = [[key, cells[0]] for key, cells in rows.items() if len(set(cells)) == 1]
  folded = tag('summary', f'{len(same)} keys are the same')
  return markup.join(
    markup.table(['differing', *(run.name for run in runs)], differing) if differing else None,
    tag('details', folded, markup.table(['key', 'value'], same)),
  )


def _provenance(run: Run, num_runs: int) -> Html:
  result = run.result
  if not result:
    return markup.join(tag('h3', run.name), tag('p', 'Told when the run ends.'))
  rows = [
    *([name, result[name]] for name in ('commit', 'device', 'machine') if result.get(name)),
    ['seed', run.config['seed']],
    *([name, version] for name, version in result.get('versions', {}).items()),
  ]
  return markup.join(
    tag('h3', run.name) if num_runs > 1 else None,
    tag('pre', tag('code', result.get('command', ''))),
    markup.table(['', ''], rows),
  )
