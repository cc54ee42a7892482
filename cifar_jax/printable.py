"""Text from outside the program, such as names of files and classes, made safe to print."""

import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # --help needs no NumPy
  import numpy as np

# Control characters, halves of surrogate pairs, and what ends a line or a paragraph.
_UNPRINTABLE = ('Cc', 'Cs', 'Zl', 'Zp')


def printable(text: str) -> str:
  """Replaces control characters, line breaks included, and undecodable bytes by their escapes.

  A terminal obeys control characters: a name could erase or forge what stands before it. A half of
  a surrogate pair, by which Python represents a byte that is not UTF-8, cannot be encoded.
  """
  return ''.join(
    letter.encode('unicode_escape').decode()
    if unicodedata.category(letter) in _UNPRINTABLE
    else letter
    for letter in text
  )


def is_unicode(texts: 'np.ndarray') -> bool:
  """Whether all characters of an array of strings, of any shape, are ones of Unicode.

  An array from a file can have others, of which Python cannot make a string.
  """
  import numpy as np

  codes = np.frombuffer(texts.tobytes(), f'{texts.dtype.byteorder}u4')
  return bool(codes.max(initial=0) <= sys.maxunicode)
