"""The sections of the page that show pictures, drawn anew from the numbers of a run.

Where the numbers are of another version, or are missing, the picture of the command is shown.
"""

import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cifar_jax.report import evaluations, markup, page_diagrams, thumbnails
from cifar_jax.report.evaluations import Evaluation
from cifar_jax.report.figures import confusion_and_calibration, curves
from cifar_jax.report.markup import Html, tag
from cifar_jax.report.page_data import Run
from cifar_jax.runs.contents import GUESSES, MISTAKE

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

Groups = list[list[Evaluation]]

MISSING = '–'  # stands for a value that a run does not have
_CLASS_MEASURES = ('precision', 'recall', 'f1')


def learning_curves(runs: list[Run]) -> Html | None:
  """Returns the learning curves of the runs together, or None if no run has records."""
  if not any(run.records for run in runs):
    return None
  if len(runs) == 1:
    figure = curves.learning_curves_figure(runs[0].records, '')
  else:
    figure = curves.compared_curves_figure({run.name: run.records for run in runs})
  return page_diagrams.panels(figure, 'Loss and error over the epochs')


def confusion(runs: list[Run], groups: list[Groups]) -> Html:
  """Returns the confusions of each evaluation: matrix, calibration and a table of classes.

  Args:
    runs: the runs of the page.
    groups: of each run, its evaluations from `evaluations.read`.
  """
  return markup.join(
    *(
      _confusion(run, group, _name(run, runs))
      for run, of_run in zip(runs, groups, strict=True)
      for group in of_run
    )
  )


def mistakes(runs: list[Run], groups: list[Groups]) -> Html:
  """Returns the images that each run is wrong about with the highest confidence.

  The arguments are those of `confusion`.
  """
  return markup.join(
    *(
      _mistakes(run, group[0], _name(run, runs))
      for run, of_run in zip(runs, groups, strict=True)
      for group in of_run
    )
  )


def own_pictures(runs: list[Run]) -> Html:
  """Returns the pictures of the user that each run has classified, with its guesses."""
  parts = []
  for run in runs:
    path = run.workdir / evaluations.FOLDER / 'own_pictures'
    title = f'What {run.config["model"]["name"]} takes your pictures for'
    if rows := thumbnails.read(path.with_suffix('.json'), GUESSES):
      title += evaluations.trial_in_words(rows[0].get('by') or {}, run.result)
      content: Html | None = tag('div', *map(_guesses, rows), class_='guesses')
    else:
      title = 'Your pictures'  # the picture itself says what classified them
      content = page_diagrams.of_file(path.with_suffix('.png'), title, is_photographs=True)
    if content:
      parts += [tag('h3', _name(run, runs) + title), content]
  return markup.join(*parts)


def _name(run: Run, runs: list[Run]) -> str:
  """Returns the beginning of a heading: the name of the run, where there are several."""
  return f'{run.name}: ' if len(runs) > 1 else ''


def _confusion(run: Run, group: list[Evaluation], name: str) -> Html:
  best = group[0]
  title = f'{name}{best.title}'
  alternative = f'Confusion matrix of {run.name}: {best.title}'
  try:
    figures = [page_diagrams.whole(_confusion_matrix(best.content), alternative)]
    if calibration := best.content.get('calibration'):
      figure = confusion_and_calibration.reliability(calibration, '')
      figures.append(page_diagrams.whole(figure, f'Calibration of {run.name}: {best.title}'))
  except page_diagrams.OTHER_FORM:
    paths = [pathlib.Path(f'{best.path}_{end}.png') for end in ('confusion_matrix', 'reliability')]
    figures = [html for path in paths if (html := page_diagrams.of_file(path, alternative))]
    if not figures and 'confusion_matrix' in best.content:
      page_diagrams.leave_out(pathlib.Path(f'{best.path}.json'))
  return markup.join(
    tag('h3', title),
    _views(group),
    tag('div', *figures, class_='side') if figures else None,
    _classes(best),
  )


def _confusion_matrix(content: dict[str, Any]) -> 'Figure':
  names = tuple(str(row['name']) for row in content['classes'])
  counts = np.array(content['confusion_matrix'])
  return confusion_and_calibration.confusion_matrix(counts, names, '')


def _views(group: list[Evaluation]) -> Html | None:
  """Returns a sentence on the errors over the views that a group was evaluated with."""
  errors = [f'{row.views} {row.error:.2f} %' for row in group if row.error is not None]
  if not errors:
    return None
  alone = len(errors) == 1
  return tag('p', f'Error {group[0].error:.2f} %.' if alone else f'Error: {", ".join(errors)}.')


def _classes(evaluation: Evaluation) -> Html | None:
  """Returns a folded table of precision, recall and F1 by class."""
  rows = [
    [row['name'], row['images'], *(format_number(row.get(key), '.3f') for key in _CLASS_MEASURES)]
    for row in evaluation.content.get('classes', ())
  ]
  if not rows:
    return None
  table = markup.table(['class', 'images', 'precision', 'recall', 'F1'], rows)
  return tag('details', tag('summary', 'Precision and recall by class'), table)


def format_number(value: float | None, form: str) -> str:
  """Returns a number in the form of a format specification, or `MISSING` for None."""
  return MISSING if value is None else format(value, form)


def _mistakes(run: Run, evaluation: Evaluation, name: str) -> Html | None:
  path = pathlib.Path(f'{evaluation.path}_mistakes')
  alternative = f'Mistakes of {run.name}: {evaluation.title}'
  if rows := thumbnails.read(pathlib.Path(f'{path}.json'), MISTAKE):
    content: Html | None = tag('div', *map(_mistake, rows), class_='thumbnails')
  else:
    content = page_diagrams.of_file(pathlib.Path(f'{path}.png'), alternative, is_photographs=True)
  if content is None:
    return None
  caption = 'True class → prediction, and its probability; the most confident mistakes.'
  return markup.join(
    tag('h3', f'{name}{evaluation.title}'), tag('p', caption, class_='quiet'), content
  )


def _mistake(row: dict[str, Any]) -> Html:
  words = f'{row["true"]} → {row["predicted"]}'
  return tag(
    'figure',
    tag('img', src=row['image'], alt=words, class_='pixels'),
    tag('figcaption', words, tag('br'), format_number(row['confidence'], '.1%')),
  )


def _guesses(row: dict[str, Any]) -> Html:
  """Returns a picture of the user with its most probable classes as bars."""
  bars = [
    tag(
      'li',
      tag('span', f'{name} {probability:.1%}'),
      tag('i', style=f'width: {100 * probability:.1f}%'),
    )
    for name, probability in row['guesses']
  ]
  image = tag('img', src=row['image'], alt=row['name'], class_='pixels')
  return tag('figure', image, tag('figcaption', tag('b', row['name']), tag('ol', *bars)))
