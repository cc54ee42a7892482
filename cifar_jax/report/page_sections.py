"""Sections of the page below the results: curves, pictures, classes, configuration, provenance."""

import json
from typing import Any

from ml_collections import ConfigDict

from cifar_jax.config import loading
from cifar_jax.report import markup, page_data
from cifar_jax.report.figures import curves
from cifar_jax.report.markup import Html, tag
from cifar_jax.report.page_data import Run
from cifar_jax.runs import contents

MISSING = '–'  # stands for a value that a run does not have
_CLASS_MEASURES = ('precision', 'recall', 'f1')
_are_classes = contents.are(contents.fits(contents.CLASS))


def format_number(value: float | None, form: str) -> str:
  """Returns a number in the form of a format specification, or `MISSING` for None."""
  return MISSING if value is None else format(value, form)


def learning_curves(runs: list[Run], title: str) -> Html | None:
  """Returns the learning curves of the runs in one picture, or None if no run has records.

  Args:
    runs: runs to draw.
    title: heading of the picture of a single run.
  """
  if not any(run.records for run in runs):
    return None
  if len(runs) == 1:
    figure = curves.learning_curves_figure(runs[0].records, title)
  else:
    figure = curves.compared_curves_figure({run.name: run.records for run in runs})
  return tag(
    'div', _figure(page_data.png(figure), 'Loss and error over the epochs'), class_='alone'
  )


def _figure(png: bytes, alternative: str, *caption: Any) -> Html:
  """Returns a picture with its caption, and with alternative text for readers without pictures."""
  image = tag('img', src=page_data.data_url(png), alt=alternative)
  heading = tag('figcaption', *caption) if any(caption) else None
  return tag('figure', heading, image, class_='wide' if page_data.is_wide(png) else None)


def pictures(runs: list[Run], folder: str) -> Html:
  """Returns the pictures in a folder of each run; pictures of the same name stand side by side."""
  paths = [page_data.pictures(run.workdir / folder) for run in runs]
  rows = []
  for name in dict.fromkeys(name for paths_of_run in paths for name in paths_of_run):
    title = name.replace('_', ' ').capitalize()
    rows.append(
      [
        _figure(
          paths_of_run[name].read_bytes(),
          f'{title} of {run.name}',
          tag('h3', title if len(runs) == 1 else f'{title}: {run.name}'),
          page_data.settings(run.workdir / folder / f'{name}.json'),
        )
        for run, paths_of_run in zip(runs, paths, strict=True)
        if name in paths_of_run
      ]
    )
  if len(runs) == 1:
    rows = [[figure for row in rows for figure in row]]
  return markup.join(*(tag('div', *row, class_='side') for row in rows if row))


def class_tables(runs: list[Run]) -> Html:
  """Returns a folded table of precision, recall and F1 per class for each evaluation."""
  tables = []
  for run in runs:
    for name, evaluation in page_data.objects(run.workdir / 'evaluation').items():
      classes: Any = evaluation.get('classes')
      if _are_classes(classes):
        rows = [
          [
            *(row['name'], row['images']),
            *(format_number(row.get(key), '.3f') for key in _CLASS_MEASURES),
          ]
          for row in classes
        ]
        caption = f'{run.name}: {name.replace("_", " ")}' if len(runs) > 1 else name
        table = markup.table(['class', 'images', *_CLASS_MEASURES], rows, caption)
        tables.append(tag('details', tag('summary', f'Classes: {caption}'), table))
  return markup.join(*tables)


def configuration(runs: list[Run]) -> Html:
  """Returns all keys of one run, or the keys in which several runs differ; the rest is folded."""
  return _config_tables(runs[0].config) if len(runs) == 1 else _config_differences(runs)


def _config_tables(config: dict[str, Any]) -> Html:
  """Returns a table for each section of a configuration, and one for the keys without a section."""
  sections = {name: values for name, values in config.items() if isinstance(values, dict)}
  sections = {'run': {key: config[key] for key in config if key not in sections}} | sections
  tables = [
    markup.table([name, ''], [[key, json.dumps(values[key])] for key in sorted(values)])
    for name, values in sections.items()
  ]
  return tag('div', *tables, class_='sections')


def _config_differences(runs: list[Run]) -> Html:
  configs = [loading.flatten(ConfigDict(run.config)) for run in runs]
  rows = {
    key: [json.dumps(config[key]) if key in config else MISSING for config in configs]
    for key in sorted(set().union(*configs))
  }
  differing = [[key, *cells] for key, cells in rows.items() if len(set(cells)) > 1]
  same = [[key, cells[0]] for key, cells in rows.items() if len(set(cells)) == 1]
  folded = tag('summary', f'{len(same)} keys are the same')
  return markup.join(
    markup.table(['differing', *(run.name for run in runs)], differing) if differing else None,
    tag('details', folded, markup.table(['key', 'value'], same)),
  )


def provenance(runs: list[Run]) -> Html:
  """Returns the command, commit, machine and versions of each run."""
  return markup.join(*(_provenance(run, with_name=len(runs) > 1) for run in runs))


def _provenance(run: Run, with_name: bool) -> Html:
  result = run.result
  if not result:
    return markup.join(tag('h3', run.name), tag('p', 'Recorded when the run ends.'))
  rows = [
    *([name, result[name]] for name in ('commit', 'device', 'machine') if result.get(name)),
    ['seed', run.config['seed']],
    *([name, version] for name, version in result.get('versions', {}).items()),
  ]
  return markup.join(
    tag('h3', run.name) if with_name else None,
    tag('pre', tag('code', result.get('command', ''))),
    markup.table(['', ''], rows),
  )
