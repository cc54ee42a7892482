"""Draws the results: the ratio of each net with its quartiles."""

from typing import TYPE_CHECKING, Any

from benchmarks.speed.nets import BATCH, DTYPES, NETS
from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

KINDS = {'train': 'Training', 'evaluate': 'Evaluation'}


@output_files.own_settings()
def figure(result: dict[str, Any]) -> 'Figure':
  """Draws two panels, training and evaluation, with a mark per net and dtype, and a line at 1.

  Args:
    result: content of the file of results, with at least one row.
  """
  from matplotlib.figure import Figure

  nets = [net for net in NETS if any(row['net'] == net for row in result['rows'])]
  picture = Figure(figsize=(11, 2.4 + 0.8 * len(nets)), layout='constrained')
  left, right = picture.subplots(1, 2, sharey=True)
  for axes, (kind, title) in zip((left, right), KINDS.items(), strict=True):
    for index, dtype in enumerate(DTYPES):
      _draw_marks(axes, result['rows'], nets, kind, dtype, index)
    _set_scale(axes, result['rows'], kind)
    panels.label(axes, 'Times as fast as PyTorch', '', title)
    axes.grid(visible=False, axis='y')
  left.set_yticks(range(len(nets)), [_title(result['rows'], net) for net in nets])
  left.set_ylim(len(nets) - 0.4, -0.6)
  left.tick_params(axis='y', labelsize=13)
  picture.suptitle(f'{result["machine"]}: medians and quartiles of rounds', fontsize=13)
  handles, labels = left.get_legend_handles_labels()
  picture.legend(handles, labels, loc='outside lower center', ncols=2, fontsize=13, frameon=False)
  return picture


def _title(rows: list[dict[str, Any]], net: str) -> str:
  batch = next(row['batch'] for row in rows if row['net'] == net)
  return NETS[net].title if batch == BATCH else f'{NETS[net].title}\n(batch {batch})'


def _draw_marks(
  axes: 'Axes', rows: list[dict[str, Any]], nets: list[str], kind: str, dtype: str, index: int
) -> None:
  rows = [row for row in rows if row['dtype'] == dtype]
  if not rows:
    return
  ratios = [row[kind]['ratio'] for row in rows]
  medians = [ratio['median'] for ratio in ratios]
  heights = [nets.index(row['net']) + 0.3 * (index - 0.5) for row in rows]
  errors = [
    [ratio['median'] - ratio['low'] for ratio in ratios],
    [ratio['high'] - ratio['median'] for ratio in ratios],
  ]
  axes.errorbar(
    medians, heights, xerr=errors, linestyle='none', markersize=9, capsize=5, elinewidth=2,
    label=dtype, **panels.style(index),
  )  # fmt: skip
  above = 8 if index == 0 else -18  # points; each dtype on its side of the two marks
  for x, y in zip(medians, heights, strict=True):
    axes.annotate(
      f'{x:.2f}', (x, y), (0, above), textcoords='offset points', ha='center', fontsize=10.5
    )


def _set_scale(axes: 'Axes', rows: list[dict[str, Any]], kind: str) -> None:
  """Makes the axis logarithmic, so that a ratio of 2 and one of 1/2 are equally far from 1."""
  from matplotlib import ticker

  values = [row[kind]['ratio'][key] for row in rows for key in ('low', 'high')]
  axes.set_xscale('log')
  axes.set_xlim(min(0.6, 0.8 * min(values)), max(1.6, 1.25 * max(values)))
  axes.xaxis.set_major_locator(ticker.FixedLocator([0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10]))
  axes.xaxis.set_major_formatter('{x:g}')
  axes.xaxis.set_minor_locator(ticker.NullLocator())
  axes.axvline(1, color='#000000', linewidth=1.2, zorder=0)
