"""HTML that cannot be broken by what stands in it: text is escaped unless it is `Html` already."""

import html
from typing import Any

_EMPTY = ('br', 'img', 'meta')  # elements without an end tag


class Html(str):
  """Text that is HTML and is not escaped again."""

  __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
  """An element.

  Args:
    name: of the element.
    *children: what it holds; anything but `Html` is escaped as text, None is left out.
    **attributes: their values are escaped; those of None are left out, `class_` is `class`, and
      other underscores are hyphens.
  """
  told = ''.join(
    f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
    for key, value in attributes.items()
    if value is not None
  )
  if name in _EMPTY:
    return Html(f'<{name}{told}>')
  return Html(f'<{name}{told}>{join(*children)}</{name}>')


def join(*children: Any) -> Html:
  """Several nodes after one another; anything but `Html` is escaped as text, None is left out."""
  return Html(
    ''.join(
      child if isinstance(child, Html) else html.escape(str(child))
      for child in children
      if child is not None
    )
  )


def table(head: list[Any], rows: list[list[Any]], caption: str | None = None) -> Html:
  """A table that scrolls by itself where it is wider than the page.

  Args:
    head: of the columns.
    rows: of cells, the first of which is the row's own head.
    caption: above it.
  """
  columns = [tag('th', cell, scope='col') for cell in head]
  body = [
    tag('tr', tag('th', first, scope='row'), *(tag('td', cell) for cell in rest))
    for first, *rest in rows
  ]
  return tag(
    'div',
    tag(
      'table',
      tag('caption', caption) if caption else None,
      tag('thead', tag('tr', *columns)),
      tag('tbody', *body),
    ),
    class_='scroll',
  )


def section(title: str, *children: Any) -> Html:
  """A section with its heading; empty where it would hold nothing."""
  held = join(*children)
  return tag('section', tag('h2', title), held) if held else Html()
