"""The section of the page that shows the analyses, drawn anew from their numbers.

Where the numbers are of another version, or are missing, the picture of the command is shown.
"""

import importlib
import pathlib
import re
from typing import Any

from cifar_jax.report import markup, page_data, page_diagrams
from cifar_jax.report.markup import Html, tag
from cifar_jax.report.page_data import Run

_ANALYSES = {  # in the order of the page; others come after these
  'lesion': 'Blocks deleted and exchanged',
  'path_length': 'Gradient by length of path',
  'branch_correlation': 'Correlation between the branches',
  'activations': 'Activations and gradients by depth',
  'landscape': 'Loss around the weights',
  'complexity': 'What the accuracy costs',
}


def analyses(runs: list[Run]) -> Html:
  """Returns the analyses; one of several runs on the same images is drawn of all together."""
  found = [_analyses_of(run) for run in runs]
  pictures = [page_data.pictures(run.workdir / 'analysis') for run in runs]
  stems = set().union(*found, *pictures)
  # Those with a number are earlier ones, with other options.
  names = sorted(stem for stem in stems if not re.search(r'-[0-9]+$', stem))
  order = [*_ANALYSES, *names]
  names.sort(key=lambda name: order.index(_kind(name)))
  return markup.join(
    *(
      _analysis(
        name,
        [contents[name] for contents in found if name in contents],
        [paths[name] for paths in pictures if name in paths],
      )
      for name in names
    )
  )


def _kind(stem: str) -> str:
  """The analysis that a file is of: other checkpoints, seeds and images stand behind its name."""
  return next((name for name in _ANALYSES if f'{stem}_'.startswith(f'{name}_')), stem)


def _has_several_seeds(run: Run) -> bool:
  seeds = (run.config.get('train') or {}).get('seeds')
  return isinstance(seeds, int) and seeds > 1


def _analyses_of(run: Run) -> dict[str, dict[str, Any]]:
  """The contents of a run's analyses, under the name that the run has on this page."""
  contents = page_data.objects(run.workdir / 'analysis')
  # An earlier version did not say that there are other seeds.
  of_run = {'run': run.name, 'is_one_of_several_seeds': _has_several_seeds(run)}
  return {stem: content | of_run | _code_of(content, run) for stem, content in contents.items()}


def _code_of(content: dict[str, Any], run: Run) -> dict[str, Any]:
  origin = content.get('provenance')
  return {
    page_data.OTHER_CODE: isinstance(origin, dict)
    and page_data.is_of_other_code(origin, run.result)
  }


def _analysis(stem: str, contents: list[dict[str, Any]], pictures: list[pathlib.Path]) -> Html:
  """Returns an analysis of one run or several: heading, what was measured, panels."""
  name = _kind(stem)
  title = _ANALYSES.get(name) or name.replace('_', ' ').capitalize()
  groups = page_data.of_same_images(contents)
  drawn = [_panels(name, group, title) for group in groups]
  if None in drawn or not drawn:
    groups, drawn = [contents], [markup.join(*(page_diagrams.of_file(p, title) for p in pictures))]
  if any(drawn):
    return markup.join(tag('h3', title), *map(markup.join, map(_measured, groups), drawn))
  if name in _ANALYSES:
    page_diagrams.leave_out(pathlib.Path('analysis', f'{stem}.json'))
  return Html()


def _measured(contents: list[dict[str, Any]]) -> Html | None:
  """Returns a line with the checkpoints and the images that were measured."""
  settings = list(dict.fromkeys(filter(None, map(page_data.settings, contents))))
  return tag('p', f'{"; ".join(settings)}.'.capitalize(), class_='quiet') if settings else None


def _panels(name: str, contents: list[dict[str, Any]], title: str) -> Html | None:
  """Returns the panels of an analysis; None where the numbers are of another form."""
  try:
    figure = importlib.import_module(f'cifar_jax.report.figures.{name}').figure(contents)
    return page_diagrams.panels(figure, title)
  except page_diagrams.OTHER_FORM:
    return None
