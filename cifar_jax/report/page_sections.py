"""Sections at the end of the page: configuration and origin."""

import json

from ml_collections import ConfigDict

from cifar_jax.config import loading
from cifar_jax.report import markup
from cifar_jax.report.markup import Html, tag
from cifar_jax.report.page_data import Run
from cifar_jax.report.page_figures import MISSING


def configuration(run: Run) -> Html:
  """Returns a table for each section of a configuration, and one for the keys without a section."""
  config = run.config
  sections = {name: values for name, values in config.items() if isinstance(values, dict)}
  sections = {'run': {key: config[key] for key in config if key not in sections}} | sections
  tables = [
    markup.table([name, ''], [[key, json.dumps(values[key])] for key in sorted(values)])
    for name, values in sections.items()
  ]
  return tag('div', *tables, class_='sections')


def differing_keys(runs: list[Run]) -> Html | None:
  """Returns a table of the keys in which the configurations of several runs differ."""
  differing, _ = _compare(runs)
  if not differing:
    return None
  return markup.table(['configuration', *(run.name for run in runs)], differing)


def common_keys(runs: list[Run]) -> Html:
  """Returns a folded table of the keys that the configurations of several runs have in common."""
  _, same = _compare(runs)
  folded = tag('summary', f'{len(same)} keys are the same')
  return tag('details', folded, markup.table(['key', 'value'], same))


def _compare(runs: list[Run]) -> tuple[list[list[str]], list[list[str]]]:
  """Returns rows of the keys that differ, with a cell per run, and of those that are the same."""
  configs = [loading.flatten(ConfigDict(run.config)) for run in runs]
  rows = {
    key: [json.dumps(config[key]) if key in config else MISSING for config in configs]
    for key in sorted(set().union(*configs))
  }
  for name in runs[0].inputs:
    if all(name in run.inputs for run in runs):
      rows[f'{name}: SHA-256'] = [run.inputs[name][1][:12] for run in runs]
  differing = [[key, *cells] for key, cells in rows.items() if len(set(cells)) > 1]
  same = [[key, cells[0]] for key, cells in rows.items() if len(set(cells)) == 1]
  return differing, same


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
