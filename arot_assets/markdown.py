"""Tables in Markdown, for cards, reports, the terminal, Dagster and the pages of ``docs/``.

Belongs here: one way to write them. Does not belong here: what is in them.

``tabulate`` and its like align for reading in an editor and leave ``|`` in a cell as it is, which breaks the table.
"""

import re
from collections.abc import Collection, Iterable, Sequence


def write_table(head: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = ()) -> str:
    """A table; any value is shown in one line and breaks no column.

    Args:
        head: the titles of the columns.
        rows: their cells: text as it is, integers with separators, floats with four digits.
        right: titles of columns that are set to the right.
    """
    rules = "".join("--:|" if title in right else "---|" for title in head)
    return "\n".join([_line(head), f"|{rules}", *map(_line, rows)])


def cell(value: object) -> str:
    """One value as it stands in a table."""
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
