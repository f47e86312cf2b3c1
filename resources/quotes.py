"""Whether a file of tab-separated values has quotes.

Belongs here: telling the two kinds of TSV apart. Does not belong here: reading one.

The format has no quoting: a quote mark is a character like any other, and each line is a row. Yet many programs write it as they
write CSV. Such a file is known by this: writing its rows anew, with quotes where a field needs them or around all, gives the
same text.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

EMPTY = re.compile(r'(^|\t)""(?=\t|$)')
"""An empty field in quotes, by which some writers tell it from one that is missing."""


def has_quotes(lines: Iterable[str]) -> bool:
    """Whether the lines of a TSV, with their ends, are written with quotes. How its header is quoted does not matter."""
    taken: list[str] = []

    def feed() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    every = {(quoting, end) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL) for end in ("\n", "\r\n")}
    styles, seen = every, False
    try:
        for number, fields in enumerate(csv.reader(feed(), delimiter="\t", strict=True)):
            text = EMPTY.sub(r"\1", "".join(taken).rstrip("\r\n"))
            taken.clear()
            if '"' in text:
                seen = True
                found = {style for style in every if EMPTY.sub(r"\1", _written(fields, *style)) == text}
                styles = styles & found if number else (every if found else found)
            if not styles:
                return False
    except csv.Error:
        return False
    return seen


def _written(fields: list[str], quoting: Any, end: str) -> str:
    """A row as a writer of TSV has it; what ends a line decides which characters need quotes."""
    target = io.StringIO()
    csv.writer(target, delimiter="\t", quoting=quoting, lineterminator=end).writerow(fields)
    return target.getvalue().removesuffix(end)
