"""Writes `report.html`: a self-contained page on one run, or on several side by side.

The sections have a fixed order: result, curves, confusion, mistakes, analyses, the user's own
pictures; then configuration and origin. Of several runs, what differs comes first. Pictures are
embedded in the page. There is no script, and a policy in the head forbids the browser to load
anything.
"""

import os
import pathlib
from collections.abc import Sequence

from cifar_jax import input_files, json_text, output_files
from cifar_jax.errors import InputError
from cifar_jax.report import (
  evaluations,
  markup,
  page_analyses,
  page_data,
  page_figures,
  page_measures,
  page_sections,
)
from cifar_jax.report.css import CSS
from cifar_jax.report.markup import Html, tag
from cifar_jax.report.page_data import Run
from cifar_jax.runtime.console import logger

NAME = 'report.html'
_POLICY = tag(
  'meta',
  http_equiv='Content-Security-Policy',
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'",
)
_RUNS = 'runs'
_HEAD_BYTES = 1 << 12  # the head of a page begins with the policy


def check_is_own(path: pathlib.Path, workdirs: Sequence[str | os.PathLike[str]]) -> None:
  """Checks that a page may be written to a path that the user did not give.

  Args:
    path: of the page.
    workdirs: directories of its runs.

  Raises:
    InputError: a file is there that is no page of this program, or is one on several other runs.
  """
  if not path.exists():
    return
  input_files.refuse_pipe(path)
  try:
    with path.open('rb') as file:
      head = file.read(_HEAD_BYTES).decode(errors='replace')
  except OSError:
    head = ''
  if _POLICY not in head:
    raise output_files.not_own(path)
  if len(workdirs) > 1 and f'name="{_RUNS}"' in head and _which(workdirs) not in head:
    raise InputError(f'{path} is a page on other runs: give --out FILE.html')


def _which(workdirs: Sequence[str | os.PathLike[str]]) -> Html:
  """Says in the head of a page which runs it is on, without the paths, which may be private."""
  paths = [os.path.realpath(workdir) for workdir in workdirs]
  return tag('meta', name=_RUNS, content=json_text.sha256(paths))


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
  path = pathlib.Path(path)
  runs = page_data.read_side_by_side(workdirs)
  logger.info('drawing %s', path)
  text = html(runs)
  with output_files.replacing(path) as unfinished:
    unfinished.write_text(text, encoding='utf-8')
  return path


def html(runs: list[Run]) -> str:
  """Returns the page on some runs as HTML text."""
  groups = [evaluations.read(run.workdir, run.result) for run in runs]
  title = page_measures.title(runs[0]) if len(runs) == 1 else f'{len(runs)} runs side by side'
  head = tag(
    'head',
    tag('meta', charset='utf-8'),
    tag('meta', name='viewport', content='width=device-width, initial-scale=1'),
    _POLICY,
    _which([run.workdir for run in runs]),
    tag('title', title),
    tag('style', Html(CSS)),
  )
  main = tag(
    'main',
    *(_result_of_one(runs[0], title) if len(runs) == 1 else _results_of_several(runs, title)),
    markup.section('Learning curves', page_figures.learning_curves(runs)),
    markup.section('Confusion', page_figures.confusion(runs, groups)),
    markup.section('Mistakes', page_figures.mistakes(runs, groups)),
    markup.section('Analyses', page_analyses.analyses(runs)),
    markup.section('Own pictures', page_figures.own_pictures(runs)),
    markup.section('Configuration', *_configuration(runs)),
    markup.section('Origin', page_sections.provenance(runs)),
  )
  return f'<!doctype html>\n{tag("html", head, tag("body", main), lang="en")}\n'


def _result_of_one(run: Run, title: str) -> list[Html]:
  lead = tag('p', page_measures.headline(run))
  return [tag('header', tag('h1', title), lead), markup.section('Result', page_measures.cards(run))]


def _results_of_several(runs: list[Run], title: str) -> list[Html]:
  names = tag('p', ', '.join(run.name for run in runs))
  return [
    tag('header', tag('h1', title), names),
    markup.section(
      'Differences', page_measures.differences(runs), page_sections.differing_keys(runs)
    ),
    markup.section('Results', page_measures.table(runs)),
  ]


def _configuration(runs: list[Run]) -> list[Html]:
  if len(runs) == 1:
    return [page_sections.configuration(runs[0])]
  return [page_sections.common_keys(runs)]
