"""The error consistency of a net with published nets of about its error."""

from benchmarks.shared_errors import measure


def pair(first: str, second: str, consistency: float) -> dict[str, object]:
  """A pair of models in the JSON file of `compare`."""
  return {'first': first, 'second': second, 'error_consistency': consistency}


def test_only_convolutional_nets_of_about_the_same_error_count() -> None:
  errors = {'net': 9.0, 'near': 6.0, 'nearer': 10.0, 'far': 12.5, 'random_features': 9.0}
  row = measure(
    {
      'models': [{'name': name, 'error_percent': error} for name, error in errors.items()],
      'pairs': [
        pair('near', 'net', 0.5),
        pair('net', 'nearer', 0.4),
        pair('near', 'nearer', 0.6),
        *(pair('net', other, 0.0) for other in ('far', 'random_features')),
        *(pair('near', other, 0.0) for other in ('far', 'random_features')),
      ],
    },
    'net',
  )
  assert row['published'] == ['near', 'nearer']
  assert row['with_published'] == {'mean': 0.45, 'low': 0.4, 'high': 0.5}
  assert row['among_published']['mean'] == 0.6
