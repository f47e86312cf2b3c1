"""Tables in Markdown, for cards, reports, the terminal, Dagster and the pages of ``docs/``.

Belongs here: one way to write them. Does not belong here: what is in them.

``tabulate`` and similar libraries align cells for editors and do not escape ``|`` in a cell, which breaks the table.
"""

import re
from collections.abc import Collection, Iterable, Sequence


def write_table(head: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = ()) -> str:
    """A table; every value is shown on one line and breaks no column.

    Args:
        head: the column titles.
        rows: the cells: text as it is, integers with separators, floats with four digits.
        right: titles of the right-aligned columns.
    """
    rules = "".join("--:|" if title in right else "---|" for title in head)
    return "\n".join([_line(head), f"|{rules}", *map(_line, rows)])


def cell(value: object) -> str:
    """One value as text for a cell."""
    if isinstance(value, bool):
        text = str(value)
    elif isinstance(value, float):
        text = f"{value:,.4g}"
    elif isinstance(value, int):
        text = f"{value:,}"
    else:
        text = str(value)
    return re.sub(r"[ \t\r\n\f\v]+", " ", text).strip(" ").replace("|", "\\|")


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(cell, cells))} |"
