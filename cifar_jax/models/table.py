"""The table of models: what each costs, and the error that its paper prints."""

import concurrent.futures
import gc
import math
import multiprocessing
import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax
import tqdm

import cifar_jax.models as models
import cifar_jax.models.cost as cost
from cifar_jax.models.published import Published
from cifar_jax.report.model_table import DATASETS

Row = dict[str, Any]

FAMILIES: dict[str, ModuleType] = {
  family.__name__.rpartition('.')[2]: family for family in models.FAMILIES
}
# What the table can be sorted by, and its key in a row.
SORTS = {
  'parameters': 'num_params',
  'multiply_adds': 'multiply_adds',
  'memory': 'training_bytes',
  'depth': 'depth',
  'error': 'published',  # on the data set asked for
  'name': 'name',
}
# A process takes seconds to import JAX; so few models are sooner done without.
_FEW = 4
_IMAGENET_CLASSES = 1000

CONVENTIONS = """\
Multiply-adds of convolutions and dense layers, for one image: entries of the output, times taps of
the kernel (on the padding too), times input channels of a group. MB are 10^6 bytes of activations,
for one image: the most alive at once in a forward pass, and what training keeps for the backward
pass before the compiler improves on it. Depth: convolutions and dense layers on the longest way.
Errors in percent, as published. ImageNet models have 1000 classes, others 10 and 32x32 pixels."""


def family(name: str) -> str:
  """The family that a model is registered in."""
  return next(family for family, module in FAMILIES.items() if name in module.NAMES)


def published(name: str) -> Published | None:
  """What is published of a model; None for most, and for names that are not registered."""
  return next((m.PUBLISHED[name] for m in FAMILIES.values() if name in m.PUBLISHED), None)


def published_error(name: str, dataset: str) -> dict[str, Any] | None:
  """`error_percent` and `source` of what is published of a model on a data set, for a report."""
  known = published(name)
  error = getattr(known, dataset, None) if dataset in DATASETS else None
  return {'error_percent': error, 'source': known.source} if known and error else None


def row(name: str) -> Row:
  """The row of one registered model.

  Args:
    name: one of `models.NAMES`; one that ends in `_imagenet` is counted with 1000 classes.

  Returns:
    `name`, `family`, `num_classes`, `image_size`, the fields of `cost.Cost`, and `published`: the
    fields of `Published`, or None.
  """
  num_classes = _IMAGENET_CLASSES if name.endswith('_imagenet') else 10
  model = models.create(name, num_classes=num_classes)
  known = published(name)
  return {
    'name': name,
    'family': family(name),
    'num_classes': num_classes,
    'image_size': cost.image_size(model),
    **cost.measure(model)._asdict(),
    'published': known and known._asdict(),
  }


def rows(names: Sequence[str]) -> list[Row]:
  """The rows of registered models, in their order; other processes help to count many."""
  helpers = min(os.cpu_count() or 1, len(names) // _FEW) - 1
  if helpers < 1:
    return [row(name) for name in names]
  pool = concurrent.futures.ProcessPoolExecutor(
    helpers,
    mp_context=multiprocessing.get_context('spawn'),  # a fork of a process with JAX may hang
    initializer=only_traces,
  )
  order = sorted(names, key=_size, reverse=True)  # the largest take longest, so they begin
  with pool, tqdm.tqdm(total=len(order), unit=' models', disable=None) as progress:
    waiting = {name: pool.submit(row, name) for name in order}
    for future in waiting.values():
      future.add_done_callback(lambda _: progress.update())
    # This process takes the smallest, while the others still begin; and so on, until all meet.
    own = {name: row(name) for name in reversed(order) if waiting[name].cancel()}
    done = {name: own.get(name) or waiting[name].result() for name in names}
  return [done[name] for name in names]


def _size(name: str) -> float:
  """About how long a model takes to trace."""
  model = models.create(name)
  return max(getattr(model, 'depth', 0), 2 * getattr(model, 'num_blocks', 0))


def only_traces() -> None:
  """Prepares a process that computes nothing: it takes hold of no accelerator, and is faster."""
  jax.config.update('jax_platforms', 'cpu')
  gc.disable()  # traces are large and stay: going through them again and again takes a fifth


def error(row: Row, dataset: str) -> float | None:
  """The published error of a row on one of `DATASETS`, in percent."""
  return row['published'] and row['published'][dataset]


def sort(rows: list[Row], by: str, dataset: str) -> list[Row]:
  """The rows in the rising order of one of `SORTS`, those without a published error last."""
  if by == 'error':
    return sorted(rows, key=lambda row: error(row, dataset) or math.inf)
  return sorted(rows, key=lambda row: row[SORTS[by]])


def text(rows: list[Row]) -> str:
  """The table to be read, with its conventions below."""
  name_width = max(len(row['name']) for row in rows)
  head = f'{"model":{name_width}}{"parameters":>13}{"multiply-adds":>16}{"forward MB":>12}'
  head += f'{"training MB":>13}{"depth":>7}'
  head += ''.join(f'{name:>11}' for name in DATASETS.values()) + '  source'
  lines = [head]
  for row in rows:
    errors = [error(row, dataset) for dataset in DATASETS]
    line = f'{row["name"]:{name_width}}{row["num_params"]:13,}{row["multiply_adds"]:16,}'
    line += f'{row["forward_bytes"] / 1e6:12.2f}{row["training_bytes"] / 1e6:13.2f}'
    line += f'{row["depth"]:7}' + ''.join(f'{"" if e is None else f"{e:.2f}":>11}' for e in errors)
    lines.append(f'{line}  {row["published"]["source"] if row["published"] else ""}'.rstrip())
  return '\n'.join([*lines, '', CONVENTIONS])
