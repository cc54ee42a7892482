"""Writes `report.html`: a self-contained page on one run, or on several runs side by side.

Pictures are embedded in the page. There is no script, and a policy in the head forbids the browser
to load anything.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from cifar_jax import output_files
from cifar_jax.config.dataset import TITLES
from cifar_jax.report import markup, page_data, page_sections
from cifar_jax.report.css import CSS
from cifar_jax.report.markup import Html, tag
from cifar_jax.report.page_data import Run
from cifar_jax.report.page_sections import MISSING, format_number
from cifar_jax.report.summary import duration, of_seeds

NAME = 'report.html'
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Measure(NamedTuple):
  """A measure of a run.

  Attributes:
    value: formatted number, or `MISSING`.
    remark: what the number refers to; may be empty.
  """

  value: str
  remark: str = ''


def write(workdirs: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> pathlib.Path:
  """Writes the page on some runs, finished or not.

  Args:
    workdirs: directories of the runs, at least one.
    path: file to write; an older page is replaced only when the new one is complete.

  Returns:
    The path.

  Raises:
    InputError: a directory holds no run or an unreadable one, or the page cannot be written.
  """
  text = html([page_data.read(workdir) for workdir in workdirs])
  path = pathlib.Path(path)
  with output_files.replacing(path) as unfinished:
    unfinished.write_text(text, encoding='utf-8')
  return path


def html(runs: list[Run]) -> str:
  """Returns the page on some runs as HTML text."""
  title = _title(runs[0]) if len(runs) == 1 else f'{len(runs)} runs side by side'
  head = tag(
    'head',
    tag('meta', charset='utf-8'),
    tag('meta', name='viewport', content='width=device-width, initial-scale=1'),
    tag('meta', http_equiv='Content-Security-Policy', content=_POLICY),
    tag('title', title),
    tag('style', Html(CSS)),
  )
  cards = _cards(runs[0]) if len(runs) == 1 else None
  main = tag(
    'main',
    tag('header', tag('h1', title), tag('p', _lead(runs)), cards),
    markup.section('Results', _results_table(runs)) if len(runs) > 1 else None,
    markup.section('Learning curves', page_sections.learning_curves(runs, title)),
    markup.section(
      'Evaluation', page_sections.pictures(runs, 'evaluation'), page_sections.class_tables(runs)
    ),
    markup.section('Analyses', page_sections.pictures(runs, 'analysis')),
    markup.section('Configuration', page_sections.configuration(runs)),
    markup.section('Provenance', page_sections.provenance(runs)),
  )
  return f'<!doctype html>\n{tag("html", head, tag("body", main), lang="en")}\n'


def _title(run: Run) -> str:
  data, seeds = run.config['data']['name'], run.result.get('seeds', ())
  title = f'{run.config["model"]["name"]} on {TITLES.get(data, data)}'
  return title + (f', mean of {len(seeds)} seeds' if seeds else '')


def _lead(runs: list[Run]) -> str:
  """Returns the sentence below the title; text that is not `Html` is escaped later."""
  if len(runs) > 1:
    return ', '.join(run.name for run in runs)
  run = runs[0]
  if not run.result:
    return f'Not finished: epoch {run.epoch:.4g} of {run.config["train"]["num_epochs"]:g}.'
  error = tag('strong', f'{run.test_error:.2f} % test error')
  details = f' after {run.result["num_epochs"]:g} epochs.'
  if published := run.published:
    details += f' Published: {published["error_percent"]:.2f} % ({published["source"]}).'
  return markup.join(error, details)


def _measures(run: Run) -> dict[str, Measure]:
  """Returns the measures of a run by their names; all runs have the same names in the same order.

  Measures that an unfinished run does not have yet are `MISSING`.
  """
  result = run.result
  test, best, tta = result.get('test', {}), result.get('best'), result.get('tta')
  best_by_test = result.get('best_by_test')
  return {
    'Test error': Measure(_percent(run.test_error), f'last epoch{of_seeds(test)}'),
    'Published': (
      Measure(_percent(run.published['error_percent']), run.published['source'])
      if run.published
      else Measure(MISSING)
    ),
    'Top-5 error': Measure(_percent(run.error('test', 'top5_accuracy')), 'last epoch'),
    'Test loss': Measure(format_number(test.get('loss'), '.4f'), 'nats'),
    'Training error': Measure(_percent(run.train_error), 'mean of the last epoch'),
    'Test error, best': (
      Measure(
        _percent(100 * (1 - best['test']['accuracy'])),
        f'by validation, epoch {best["epoch"]}{of_seeds(best["test"])}',
      )
      if best
      else Measure(MISSING)
    ),
    'Test error, lowest': (
      Measure(
        _percent(100 * (1 - best_by_test['test']['accuracy'])),
        f'chosen on the test images, epoch {best_by_test["epoch"]}{of_seeds(best_by_test["test"])}',
      )
      if best_by_test
      else Measure(MISSING)
    ),
    'Parameters': Measure(format_number(result.get('num_params'), ',')),
    'Epochs': Measure(f'{run.epoch:.4g}', f'of {run.config["train"]["num_epochs"]:g}'),
    'Time': Measure(duration(result['seconds']) if result else MISSING, result.get('device', '')),
    'Speed': Measure(
      format_number(result.get('images_per_second'), ',.0f'), 'images/s, all included'
    ),
    'Test error over views': (
      Measure(_percent(100 * (1 - tta['test']['accuracy'])), f'{tta["views"]}, last epoch')
      if tta
      else Measure(MISSING)
    ),
  }


def _percent(value: float | None) -> str:
  return MISSING if value is None else f'{value:.2f} %'


def _cards(run: Run) -> Html:
  """Returns the measures of one run as cards, without the missing ones."""
  cards = [
    tag('div', tag('dt', name), tag('dd', value, tag('small', remark) if remark else None))
    for name, (value, remark) in _measures(run).items()
    if value != MISSING
  ]
  return tag('dl', *cards, class_='cards')


def _results_table(runs: list[Run]) -> Html:
  """Returns a table with a column per run and a row for each measure that some run has."""
  columns = [_measures(run) for run in runs]
  rows: list[list[str]] = []
  for name in columns[0]:
    measures = [column[name] for column in columns]
    if any(measure.value != MISSING for measure in measures):
      cells = [
        markup.join(value, tag('br'), tag('small', remark, class_='quiet')) if remark else value
        for value, remark in measures
      ]
      rows.append([name, *cells])
  return markup.table(['', *(run.name for run in runs)], rows)
