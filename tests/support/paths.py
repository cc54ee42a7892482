"""Where the repository's files are."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]
REFERENCE = ROOT / 'tests' / 'reference'
