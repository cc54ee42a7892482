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

PNG_URL = 'data:image/png;base64,'  # the beginning of a picture in a JSON file


def is_text(value: Any) -> bool:
  """Whether a value is a text."""
  return isinstance(value, str)


def is_measure(value: Any) -> bool:
  """Whether a value is a number, which may be infinite or not a number where a run diverged."""
  return type(value) is float or (type(value) is int and abs(value) <= _LARGEST)


def is_amount(value: Any) -> bool:
  """Whether a value is a finite number of at least 0."""
  return is_measure(value) and 0 <= value < math.inf


def _is_share(value: Any) -> bool:
  """Whether a value is from 0 to 1, perhaps rounded: means and deviations need finite ones."""
  return is_amount(value) and value <= 1.001


def is_count(value: Any) -> bool:
  """Whether a value is an integer of at least 0."""
  return type(value) is int and 0 <= value <= _LARGEST


def _is_split(value: Any) -> bool:
  return value in SPLITS


def _is_picture(value: Any) -> bool:
  return is_text(value) and value.startswith(PNG_URL)


def _is_guess(value: Any) -> bool:
  """Whether a value is the name of a class and its probability."""
  return isinstance(value, list) and len(value) == 2 and is_text(value[0]) and is_measure(value[1])


def _is_measure_or_null(value: Any) -> bool:
  return value is None or is_measure(value)


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
  'accuracy': _is_share,
  'loss?': is_measure,
  'top5_accuracy?': _is_share,
  'deviation?': {'accuracy': is_measure, 'loss?': is_measure, 'top5_accuracy?': is_measure},
  'each?': {
    **dict.fromkeys(('accuracy', 'top5_accuracy?'), are(_is_share)),
    'loss?': are(is_measure),
  },
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
_AT_BEST: Description = {'epoch': is_amount, 'test': _MEASURES, 'step?': is_count}
RESULT: Description = {
  'test': _MEASURES,
  'num_epochs': is_amount,
  'seconds': is_amount,
  'device': is_text,
  'images_per_second?': is_amount,
  **dict.fromkeys(('num_steps?', 'num_params?', 'seed?'), is_count),
  'seeds?': are(is_count),
  'best?': _AT_BEST,
  'best_by_test?': _AT_BEST,
  'legs?': are(fits({'num_epochs': is_amount, 'seconds?': is_amount, 'test?': _MEASURES})),
  'tta?': {'views': is_text, 'test': _MEASURES},
  'published?': {'error_percent': is_amount, 'source': is_text},
  'versions?': _is_object_of_texts,
  'init?': {'source': is_text, 'sha256': is_text},
  'seen_by_source?': {'test?': is_count, 'validation?': is_count},
  **dict.fromkeys(('model?', 'data?', 'command?', 'commit?', 'machine?'), is_text),
  **dict.fromkeys(('data_sha256?', 'test_sha256?', 'own_net?', 'code?'), is_text),
}
RESULT_OF_LEG: Description = {**RESULT, 'num_steps': is_count}
# Of a run whose command is given again: the first versions wrote these values too.
RESULT_OF_FINISHED_RUN: Description = {
  **RESULT_OF_LEG,
  'seed': is_count,
  'model': is_text,
  'data': is_text,
  'images_per_second': is_amount,
}
CONFIG: Description = {
  'seed': is_count,
  'data': {'name': is_text},
  'model': {'name': is_text},
  'train': {'num_epochs': is_amount},
}
CONFIG_OF_LEG: Description = {
  **CONFIG,
  'schedule': {'name': is_text, 'boundaries?': are(is_measure, at_least=0)},
}
TRIAL: Description = {  # the net or nets that something is of
  **dict.fromkeys(('checkpoint?', 'tta?', 'code?', 'own_net?'), is_text),
  'members?': are(fits({'workdir?': is_text, 'step?': is_count}), at_least=0),
}
SCORECARD: Description = {  # of an evaluation, beside what its command prints alone
  **TRIAL,
  'split?': is_text,
  'error_percent?': is_measure,
  'data?': {'name?': is_text},
  'images_trained_on?': is_count,
  'classes?': are(
    fits(
      {
        'name': is_text,
        'images': is_count,
        **dict.fromkeys(('precision?', 'recall?', 'f1?'), is_measure),
      }
    )
  ),
  'confusion_matrix?': are(are(is_count)),
  'calibration?': {
    'expected_calibration_error': is_measure,
    'edges': are(is_measure),
    'counts': are(is_count),
    **dict.fromkeys(('confidence', 'accuracy'), are(_is_measure_or_null)),
  },
}
MISTAKE: Description = {  # an image of a scorecard
  'image': _is_picture,
  **dict.fromkeys(('true', 'predicted'), is_text),
  'confidence': is_measure,
}
GUESSES: Description = {  # at a picture of the user
  'image': _is_picture,
  'name': is_text,
  'guesses': are(_is_guess, at_least=0),
  'by?': TRIAL,
}
TRACKED: Description = {  # what a service has of a run
  'id': is_text,
  'step': is_measure,
  'splits': are(is_text, at_least=0),
  'of?': {'workdir': is_text, 'inode?': is_count, 'legs': is_count, 'length': is_text},
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


def without_nulls(value: Mapping[str, Any], description: Description) -> dict[str, Any]:
  """An object that fits a description, without the described keys that are null: they are absent.

  Objects in lists stay as they are.
  """
  result = dict(value)
  for key, check in description.items():
    name = key.rstrip('?')
    if result.get(name) is None:
      result.pop(name, None)
    elif isinstance(check, Mapping):
      result[name] = without_nulls(result[name], check)
  return result


def num_seeds(measures: Mapping[str, Any]) -> set[int]:
  """The numbers of seeds that measures have a value of each of: one, or none for a single seed."""
  each = measures.get('each') or {}
  return {len(values) for values in each.values() if isinstance(values, list)}


def wrong_in_result(result: Any, description: Description = RESULT) -> str:
  """As `wrong_value`, for a result; says too whether each measure has a value for each seed."""
  if wrong := wrong_value(result, description):
    return wrong
  if result.get('seeds') and num_seeds(result['test']) != {len(result['seeds'])}:
    return 'seeds'
  return ''


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
