"""Text from outside the program, such as names of files and classes, made safe to print."""

import unicodedata

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
