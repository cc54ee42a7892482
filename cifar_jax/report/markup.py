"""Makes HTML elements. Text is escaped unless it is `Html`, so no content can break a page."""

import html
from typing import Any

_VOID = ('br', 'img', 'meta')  # elements without an end tag


class Html(str):
  """Text that is HTML and is not escaped again."""

  __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
  """Returns an element.

  Args:
    name: name of the element, such as `p`.
    *children: content; anything but `Html` is escaped as text, None is left out.
    **attributes: attributes; values are escaped, and an attribute with the value None is left out.
      A trailing underscore of a name is removed (`class_`), other underscores become hyphens.
  """
  attribute_text = ''.join(
    f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
    for key, value in attributes.items()
    if value is not None
  )
  if name in _VOID:
    return Html(f'<{name}{attribute_text}>')
  return Html(f'<{name}{attribute_text}>{join(*children)}</{name}>')


def join(*children: Any) -> Html:
  """Concatenates nodes; anything but `Html` is escaped as text, None is left out."""
  return Html(
    ''.join(
      child if isinstance(child, Html) else html.escape(str(child))
      for child in children
      if child is not None
    )
  )


def table(head: list[Any], rows: list[list[Any]], caption: str | None = None) -> Html:
  """Returns a table that scrolls horizontally where it is wider than the page.

  Args:
    head: headings of the columns.
    rows: cells of each row; the first cell is the heading of the row.
    caption: text above the table.
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
  """Returns a section with its heading, or empty text if the section has no content."""
  content = join(*children)
  return tag('section', tag('h2', title), content) if content else Html()
