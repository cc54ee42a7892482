"""Asks whether a trained net errs on the images on which published nets of its accuracy err.

  python -m cifar_jax.compare runs/NET published_predictions.npz --out DIR
  python -m benchmarks.shared_errors DIR/comparison.json NET

The published predictions are those of `benchmarks.published_predictions`. Error consistency is
Cohen's kappa of being right (Geirhos et al. 2020, arXiv 2006.16736): 0 if two nets err
independently, 1 if they err on the same images. It depends on the accuracies of both, so a net is
compared with the published convolutional nets whose error is within three points of its own, and
these with one another. For the speed run, whose published accuracy is over several views,
`compare` takes `--tta flip_shift`. Adds a row for the net to `results/shared_errors.json`.
"""

import argparse
import json
import pathlib
import statistics
from typing import Any

from benchmarks import result_file

RESULT = result_file.FOLDER / 'shared_errors.json'
WITHIN = 3.0  # percentage points
NO_CNN = 'random_features'  # beginning of the names of linear classifiers on random patches


def main() -> None:
  """Reads a comparison, prints the row of a net, and adds it to the file of results."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('comparison', metavar='comparison.json', type=pathlib.Path)
  parser.add_argument('net', help='its name in the comparison')
  arguments = parser.parse_args()
  origin = result_file.origin('shared_errors', {str(arguments.comparison): 'comparison.json'})
  row = measure(json.loads(arguments.comparison.read_text()), arguments.net)
  result_file.print_row(row)
  others = [other for other in result_file.read_rows(RESULT) if other['net'] != arguments.net]
  result_file.write(RESULT, origin | {'within_points': WITHIN, 'rows': [*others, row]})


def measure(comparison: dict[str, Any], net: str) -> dict[str, Any]:
  """Compares a net with published nets of about its error, and these with one another.

  Args:
    comparison: content of the JSON file that `compare` writes.
    net: name of the net in it.

  Returns:
    `net`, `error_percent`, `published` (names, by error), and the mean and the range of the error
    consistency of the net with them (`with_published`) and of their pairs (`among_published`).
  """
  errors = {model['name']: model['error_percent'] for model in comparison['models']}
  near = [
    name
    for name, error in sorted(errors.items(), key=lambda item: item[1])
    if name != net and abs(error - errors[net]) <= WITHIN and not name.startswith(NO_CNN)
  ]
  consistency = {
    frozenset((pair['first'], pair['second'])): pair['error_consistency']
    for pair in comparison['pairs']
  }
  among = [value for pair, value in consistency.items() if pair <= set(near)]
  return {
    'net': net,
    'error_percent': errors[net],
    'published': near,
    'with_published': _summary([consistency[frozenset((net, name))] for name in near]),
    'among_published': _summary(among),
  }


def _summary(values: list[float]) -> dict[str, float]:
  mean, low, high = statistics.mean(values), min(values), max(values)
  return {'mean': round(mean, 3), 'low': round(low, 3), 'high': round(high, 3)}


if __name__ == '__main__':
  main()
