"""Draws the pictures of `docs/gallery/` anew, from the numbers in the JSON files beside them.

python -m benchmarks.gallery
"""

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from benchmarks import depth_picture, homework_curves
from cifar_jax import output_files
from cifar_jax.report.figures import activations, branch_correlation, lesion, path_length, study

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

FOLDER = pathlib.Path(__file__).parents[1] / 'docs' / 'gallery'

# For each JSON file, what makes the picture of its content.
_DRAWINGS: dict[str, Callable[[Any], 'Figure']] = {
  'activations': activations.figure,
  'branch_correlation': branch_correlation.figure,
  'homework': homework_curves.figure,
  'lesions': lambda content: lesion.figure(content['runs']),
  'lesions_110': lambda content: lesion.figure(content['runs']),
  'path_lengths': path_length.figure,
  'plain_and_residual': depth_picture.figure,
  'schedules': lambda content: study.figure(content | {'changes': []}, content['entries']),
}


def figures() -> Iterator[tuple[pathlib.Path, 'Figure']]:
  """Yields the path of each picture and the picture."""
  for name, draw in _DRAWINGS.items():
    content = json.loads((FOLDER / f'{name}.json').read_text(encoding='utf-8'))
    yield FOLDER / f'{name}.png', draw(content)


def main() -> None:
  """Writes all pictures."""
  for path, figure in figures():
    output_files.save_figure(figure, path)
    print(path)


if __name__ == '__main__':
  main()
