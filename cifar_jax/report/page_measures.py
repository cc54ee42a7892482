"""The results on the page: headline and measures of a run, differences of several."""

from typing import Any, NamedTuple

from cifar_jax.config.dataset import TITLES
from cifar_jax.report import evaluations, markup, study_differences
from cifar_jax.report.markup import Html, tag
from cifar_jax.report.page_data import Run
from cifar_jax.report.page_figures import MISSING, format_number
from cifar_jax.report.summary import duration, epochs


class Measure(NamedTuple):
  """A measure of a run.

  Attributes:
    value: formatted number, or `MISSING`.
    remark: what the number refers to; may be empty.
  """

  value: str
  remark: str = ''


def title(run: Run) -> str:
  """Returns the heading of a page on one run."""
  data, seeds = run.config['data']['name'], run.result.get('seeds', ())
  words = f'{run.config["model"]["name"]} on {TITLES.get(data, data)}'
  return words + (f', mean of {len(seeds)} seeds' if seeds else '')


def headline(run: Run) -> Html | str:
  """Returns the sentence below the heading: the test error, the lower of that with other views."""
  if not run.result:
    return f'Not finished: epoch {run.epoch:.4g} of {run.config["train"]["num_epochs"]:g}.'
  test, tta = run.result['test'], run.result.get('tta')
  shown, words, other = test, 'test error', ''
  if tta and tta['test']['accuracy'] > test['accuracy']:
    shown, words = tta['test'], f'test error, {_views(tta)}'
    other = f' ({error(test)} with one view)'
  elif tta:
    other = f' ({error(tta["test"])} {_views(tta)})'
  details = f' after {epochs(run.result["num_epochs"])}.'
  if 'each' in shown:
    each = [f'{100 * (1 - accuracy):.2f}' for accuracy in shown['each']['accuracy']]
    details += f' Mean ± standard deviation of {len(each)} seeds: {", ".join(each)}.'
  if published := run.published:
    details += f' Published: {published["error_percent"]:.2f} % ({published["source"]}).'
  if run.num_seen:
    details += f' No test: init.source has seen {run.num_seen} of the test images.'
  return markup.join(tag('strong', f'{error(shown)} {words}'), other, details)


def error(values: dict[str, Any], measure: str = 'accuracy') -> str:
  """Formats 100 % minus an accuracy: `12.50 %`, or of several seeds `12.50 ± 0.31 %`.

  Args:
    values: measures of a split in a result; missing ones give `MISSING`.
    measure: `accuracy` or `top5_accuracy`.
  """
  if measure not in values:
    return MISSING
  text = f'{100 * (1 - values[measure]):.2f}'
  if measure in values.get('deviation', {}):
    text += f' ± {100 * values["deviation"][measure]:.2f}'
  return f'{text} %'


def _views(tta: dict[str, Any]) -> str:
  return evaluations.VIEWS.get(tta['views'], tta['views'])


def measures(run: Run) -> dict[str, Measure]:
  """Returns the measures of a run by their names; all runs have the same names in the same order.

  Measures that an unfinished run does not have yet are `MISSING`.
  """
  result, published = run.result, run.published
  test, best, tta = result.get('test', {}), result.get('best'), result.get('tta')
  lowest = result.get('best_by_test')
  seen = f'; init.source has seen {run.num_seen} of these images' if run.num_seen else ''
  none = Measure(MISSING)
  return {
    'Test error': Measure(error(test), f'last epoch{seen}'),
    'Test error over views': Measure(error(tta['test']), f'{_views(tta)}, last epoch')
    if tta
    else none,
    'Published': Measure(f'{published["error_percent"]:.2f} %', published['source'])
    if published
    else none,
    'Top-5 error': Measure(error(test, 'top5_accuracy'), 'last epoch'),
    'Test loss': Measure(format_number(test.get('loss'), '.4f'), 'nats'),
    'Training error': Measure(
      MISSING if run.train_error is None else f'{run.train_error:.2f} %', 'mean of the last epoch'
    ),
    'Test error, best': Measure(error(best['test']), f'by validation, epoch {best["epoch"]}')
    if best
    else none,
    'Test error, lowest': Measure(
      error(lowest['test']), f'chosen on the test images, epoch {lowest["epoch"]}'
    )
    if lowest
    else none,
    'Parameters': Measure(format_number(result.get('num_params'), ',')),
    'Epochs': Measure(f'{run.epoch:.4g}', f'of {run.config["train"]["num_epochs"]:g}'),
    'Time': Measure(duration(result['seconds']) if result else MISSING, result.get('device', '')),
    'Speed': Measure(
      format_number(result.get('images_per_second'), ',.0f'),
      'images/s, with compilation and validation',
    ),
  }


def cards(run: Run) -> Html:
  """Returns the measures of one run as cards, without the missing ones."""
  found = [
    tag('div', tag('dt', name), tag('dd', value, tag('small', remark) if remark else None))
    for name, (value, remark) in measures(run).items()
    if value != MISSING
  ]
  return tag('dl', *found, class_='cards')


def table(runs: list[Run]) -> Html:
  """Returns a table with a column per run and a row for each measure that some run has."""
  columns = [measures(run) for run in runs]
  rows: list[list[str]] = []
  for name in columns[0]:
    row = [column[name] for column in columns]
    if any(measure.value != MISSING for measure in row):
      cells = [
        markup.join(value, tag('br'), tag('small', remark, class_='quiet')) if remark else value
        for value, remark in row
      ]
      rows.append([name, *cells])
  return markup.table(['', *(run.name for run in runs)], rows)


def differences(runs: list[Run]) -> Html | None:
  """Returns a table of the test errors against that of the first run; None if that has none.

  Of several seeds there are an interval and a p-value: `study_differences` says of which test.
  """
  errors = [run.errors_of_seeds for run in runs]
  if not errors[0] or not any(errors[1:]):
    return None
  rows = [
    {'label': str(index), 'seeds': sorted(of_run), 'errors': [of_run[s] for s in sorted(of_run)]}
    for index, of_run in enumerate(errors)
  ]
  compared = [row[study_differences.KEY] for row in study_differences.add(rows, '0')]
  has_test = any(row and row['interval'] for row in compared)
  lines = []
  for run, row in zip(runs, compared, strict=True):
    line = [run.name, error(run.result.get('test', {}))]
    line.append(f'{row["difference"]:+.2f} points' if row else MISSING)
    if has_test:
      interval = row['interval'] if row else None
      line += [
        f'{interval[0]:+.2f} to {interval[1]:+.2f}' if interval else MISSING,
        format_number(row['p_value'] if row else None, '.2g'),
      ]
    lines.append(line)
  head = ['', 'test error', f'against {runs[0].name}']
  tested_on = {run.inputs['test images'][1] for run in runs if 'test images' in run.inputs}
  return markup.join(
    tag('p', 'NOT COMPARABLE: the test images differ.') if len(tested_on) > 1 else None,
    markup.table(head + (['95 % interval', 'p'] if has_test else []), lines),
  )
