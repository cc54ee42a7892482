"""The table of models: the cost of each, and the error that its paper prints."""

import concurrent.futures
import gc
import math
import multiprocessing
import os
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import tqdm

from cifar_jax import models
from cifar_jax.models.classifier import Gated, image_size
from cifar_jax.models.cost import counting
from cifar_jax.models.cost.columns import SORTS
from cifar_jax.models.published_errors import DATASETS
from cifar_jax.runtime import child_process, console
from cifar_jax.runtime.parent_process import end_with_parent

Row = dict[str, Any]

# A process takes seconds to import JAX: with fewer models per process, one process is faster.
_MODELS_PER_PROCESS = 4
_START_SECONDS, _SECONDS_PER_MODEL = 5.0, 1.0
_IMAGENET_CLASSES = 1000

CONVENTIONS = """\
Multiply-adds of convolutions and dense layers, for one image: entries of the output, times taps of
the kernel (on the padding too), times input channels of a group. MB are 10^6 bytes of activations,
for one image: the most alive at once in a forward pass, and what training keeps for the backward
pass before the compiler improves on it. Depth: convolutions and dense layers on the longest path.
The number in a name is its paper's, which may count otherwise: WideResNets all convolutions, those
of shortcuts too, but no dense layer (WRN-28-10 has depth 26); SENets no dense layers of gates; VGG
for CIFAR the dense layers of its ImageNet form.
Errors in percent, as published. ImageNet models have 1000 classes, others 10 and 32x32 pixels."""


def row(name: str) -> Row:
  """The row of one registered model.

  Args:
    name: one of `models.NAMES`; one that ends in `_imagenet` is counted with 1000 classes.

  Returns:
    `name`, `family`, `num_classes`, `image_size`, the fields of `counting.Cost`, and `published`:
    the fields of `Published`, or None.
  """
  model = models.create(name, num_classes=num_classes(name))
  known = models.published(name)
  return {
    'name': name,
    'family': models.family_of(name),
    'num_classes': num_classes(name),
    'image_size': image_size(model),
    **counting.measure(model)._asdict(),
    'published': known and known._asdict(),
  }


def num_classes(name: str) -> int:
  """The number of classes that a model is counted with."""
  return _IMAGENET_CLASSES if name.endswith('_imagenet') else 10


def rows(names: Sequence[str]) -> list[Row]:
  """The rows of registered models, in the order of `names`; many are counted in parallel."""
  helpers = min(os.cpu_count() or 1, len(names) // _MODELS_PER_PROCESS) - 1
  if helpers < 1:
    return [row(name) for name in console.bar(names, 'counting', 'models')]
  order = sorted(names, key=_size, reverse=True)  # the largest take longest, so they start first
  with (
    child_process.same_modules(),
    concurrent.futures.ProcessPoolExecutor(
      helpers,
      mp_context=multiprocessing.get_context('spawn'),  # a fork of a process with JAX may hang
      initializer=_begin_helper,
    ) as pool,
    tqdm.tqdm(total=len(order), unit=' models', disable=None) as progress,
  ):
    futures = {name: pool.submit(row, name) for name in order}
    for future in futures.values():
      future.add_done_callback(lambda _: progress.update())
    # Meanwhile this process counts from the other end, the smallest first, until both ends meet.
    counted_here = {name: row(name) for name in reversed(order) if futures[name].cancel()}
    results = {name: counted_here.get(name) or futures[name].result() for name in names}
  return [results[name] for name in names]


def _begin_helper() -> None:
  """Prepares a process of the pool."""
  only_traces()
  end_with_parent()


def expected_seconds(names: Sequence[str]) -> float:
  """A rough forecast of the time that `rows` takes, from two cores of an AMD EPYC."""
  return _START_SECONDS + _SECONDS_PER_MODEL * len(names) / min(os.cpu_count() or 1, len(names))


@runtime_checkable
class _HasDepth(Protocol):
  """A model with the field `depth`: its number of layers, or a factor of that number."""

  depth: float


def _size(name: str) -> float:
  """A rough measure of the time that it takes to trace a model."""
  model = models.create(name)
  depth = model.depth if isinstance(model, _HasDepth) else 0
  return max(depth, 2 * model.num_blocks if isinstance(model, Gated) else 0)


def only_traces() -> None:
  """Prepares a process that computes nothing: it allocates no accelerator, and is faster."""
  jax.config.update('jax_platforms', 'cpu')
  gc.disable()  # traces are large and stay alive: to scan them repeatedly takes a fifth of the time


def error(row: Row, dataset: str) -> float | None:
  """The published error of a row on one of `DATASETS`, in percent; None where there is none."""
  return row['published'] and row['published'][dataset]


def sort(rows: list[Row], by: str, dataset: str) -> list[Row]:
  """The rows in the rising order of one of `SORTS`, rows without a published error last."""
  if by == 'error':
    return sorted(rows, key=lambda row: error(row, dataset) or math.inf)
  return sorted(rows, key=lambda row: row[SORTS[by]])


def text(rows: list[Row]) -> str:
  """The rows as a table for a terminal, with the conventions below."""
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
