"""Which code of this package a process runs: a digest of its source files.

It tells apart what has no commit, and changes that are not committed. The digest is taken when the
package is imported, because files may be edited later, and then the old code runs on.
"""

import hashlib
import pathlib

_PACKAGE = pathlib.Path(__file__).parents[1]


def of_files(package: pathlib.Path = _PACKAGE) -> str:
  """The first 12 digits of the SHA-256 of the source files of a package, as they are now."""
  sha256 = hashlib.sha256()
  for path in sorted(path for path in package.rglob('*') if path.suffix in ('.py', '.cc')):
    sha256.update(f'{path.relative_to(package)}\0'.encode())
    sha256.update(path.read_bytes())
  return sha256.hexdigest()[:12]


_AT_IMPORT = of_files()


def digest() -> str:
  """The digest of the code that this process runs.

  If files were edited since the import, both digests: a notebook may have loaded some of them anew.
  """
  now = of_files()
  return _AT_IMPORT if now == _AT_IMPORT else f'{_AT_IMPORT} edited to {now}'


def is_edited() -> bool:
  """Whether files of the package have changed since this process imported it."""
  return of_files() != _AT_IMPORT
