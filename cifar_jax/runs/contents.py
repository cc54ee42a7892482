"""What the JSON files of a run or a study hold: the kinds of values that all readers rely on.

People edit, merge and copy these files. Each is checked once, where it is read, so that a wrong
value is named there and is no fault of whatever uses it later.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from cifar_jax.config.dataset import SPLITS

# For each key of an object the check of its value, or the description of an object within it. A key
# that ends with `?` may be absent or null. Other keys hold anything.
Description = Mapping[str, Any]

_LARGEST = 2**53  # not every integer beyond it is a float


def is_text(value: Any) -> bool:
  """Whether a value is a text."""
  return isinstance(value, str)


def is_measure(value: Any) -> bool:
  """Whether a value is a number, which may be infinite or not a number where a run diverged."""
  return type(value) is float or (type(value) is int and abs(value) <= _LARGEST)


def is_amount(value: Any) -> bool:
  """Whether a value is a finite number of at least 0."""
  return is_measure(value) and 0 <= value < math.inf


def is_count(value: Any) -> bool:
  """Whether a value is an integer of at least 0."""
  return type(value) is int and 0 <= value <= _LARGEST


def _is_split(value: Any) -> bool:
  return value in SPLITS


def are(check: Callable[[Any], bool], *, at_least: int = 1) -> Callable[[Any], bool]:
  """The check of a list that has some values, which all pass a check."""
  return lambda values: (
    isinstance(values, list) and len(values) >= at_least and all(map(check, values))
  )


def fits(description: Description) -> Callable[[Any], bool]:
  """The check of an object that has nothing wrong."""
  return lambda value: not wrong_value(value, description)


def _is_object_of_texts(value: Any) -> bool:
  return isinstance(value, dict) and all(map(is_text, value.values()))


_MEASURES: Description = {
  'accuracy': is_measure,
  'loss?': is_measure,
  'top5_accuracy?': is_measure,
  'deviation?': {'accuracy': is_measure},
  'each?': {'accuracy': are(is_measure)},
}
RECORD: Description = {
  **_MEASURES,
  'loss': is_measure,
  'step': is_count,
  'epoch': is_amount,
  'split': _is_split,
  'learning_rate?': is_measure,
  'images_per_second?': is_amount,
}
_AT_BEST: Description = {'epoch': is_amount, 'test': _MEASURES}
RESULT: Description = {
  'test': _MEASURES,
  'num_epochs': is_amount,
  'seconds': is_amount,
  'device': is_text,
  'images_per_second?': is_amount,
  'num_steps?': is_count,
  'num_params?': is_count,
  'seed?': is_count,
  'seeds?': are(is_count),
  'model?': is_text,
  'data?': is_text,
  'best?': _AT_BEST,
  'best_by_test?': _AT_BEST,
  'legs?': are(fits({'num_epochs': is_amount, 'seconds?': is_amount, 'test?': _MEASURES})),
  'tta?': {'views': is_text, 'test': _MEASURES},
  'published?': {'error_percent': is_amount, 'source': is_text},
  'versions?': _is_object_of_texts,
  **dict.fromkeys(('command?', 'commit?', 'machine?'), is_text),
}
CONFIG: Description = {
  'seed': is_count,
  'data': {'name': is_text},
  'model': {'name': is_text},
  'train': {'num_epochs': is_amount},
}
CLASS: Description = {  # a row of the scorecard of an evaluation
  'name': is_text,
  'images': is_count,
  **dict.fromkeys(('precision?', 'recall?', 'f1?'), is_measure),
}
_ENTRY: Description = {
  'label': is_text,
  'epochs': is_amount,
  'full_epochs': is_amount,
  'published?': is_amount,
  'published_train?': is_amount,
  'runs': are(is_text),
}
STUDY: Description = {
  **dict.fromkeys(('study', 'title', 'source'), is_text),
  'changes': are(is_text, at_least=0),
  'entries': are(fits(_ENTRY), at_least=0),
}


def wrong_value(value: Any, description: Description) -> str:
  """Returns the name of the first value that an object lacks or holds in a wrong kind.

  Args:
    value: of a JSON file.
    description: what it should be, such as `RESULT`.

  Returns:
    The name, with dots between the keys of nested objects; '' if nothing is wrong.
  """
  if not isinstance(value, dict):
    return 'the value'
  for key, check in description.items():
    name = key.rstrip('?')
    item = value.get(name)
    if item is None and key != name:
      continue
    if isinstance(check, Mapping):
      if wrong := wrong_value(item, check):
        return f'{name}.{wrong}' if isinstance(item, dict) else name
    elif not check(item):
      return name
  return ''
