"""Whether a file of tab-separated values uses quoting.

Belongs here: distinguishing the two kinds of TSV. Does not belong here: reading one.

The format has no quoting: a quote mark is an ordinary character, and each line is a row. Yet many programs write it
like CSV: with quotes around fields that need them, around all strings (pyarrow, pandas on request), around all fields,
or around those of some columns (DuckDB on request). A file is assumed to be quoted only if every field fits: it has no
quote mark at all, or it begins and ends with one and has any others in pairs. Even then ``"whole"`` may be a text that
contains its quote marks: further evidence is required, see ``_Evidence``.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

FIELD = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^"\t]*))(\t|\Z)')
END = re.compile(r"\r?\n?\Z")
NO_TEXT = re.compile(r"[-+0-9.,:/TZ ]*|[-+0-9.]+e[-+]?\d+|true|false|[-+]?nan|[-+]?inf|null|none|na|\\n", re.IGNORECASE)
"""A number, a truth value, a date or time, or nothing: what writers that quote every string leave unquoted."""
COMMENT = "#"
LONGEST_RECORD = 16 * 1024 * 1024
"""Maximum characters of one row; a quote mark still open at that point is not an opening quote."""


@dataclass
class _Evidence:
    """What was observed in the rows below the header.

    Attributes:
        quoted: columns with a quoted field that is not empty.
        bare: columns with an unquoted text.
        empty: whether ``""`` occurred.
        needed: whether quotes enclosed something that requires them.
        rows: records of several lines each of which could be a row by itself.
        others: whether there was a quoted text without ``#``, or an unquoted one with it.
    """

    quoted: set[int] = field(default_factory=set)
    bare: set[int] = field(default_factory=set)
    empty: bool = False
    needed: bool = False
    rows: bool = False
    others: bool = False

    def take(self, fields: list[tuple[str, bool]], record: str, width: int) -> None:
        """Note the fields of a record: the text of each, and whether it is in quotes.

        Args:
            fields: of the record.
            record: all of it.
            width: fields of the header.
        """
        quoted_texts = [text for text, quoted in fields if quoted]
        if _are_rows(record, quoted_texts, width):
            self.rows = True  # perhaps one text begins with a quote mark, and another ends with one
        elif any(mark in text for text in quoted_texts for mark in ("\n", "\t", '""')):
            self.needed = True
        for column, (text, quoted) in enumerate(fields):
            self.others |= bool(text) and quoted != (COMMENT in text) and (quoted or COMMENT in text)
            if quoted and text:
                self.quoted.add(column)
            elif quoted:
                self.empty = True
            elif column not in self.bare and not NO_TEXT.fullmatch(text):
                self.bare.add(column)

    def speaks_for_quotes(self, header: list[tuple[str, bool]]) -> bool:
        """Whether something was observed that only a quoting writer produces: a field that needs quotes; quotes around
        all texts of the file, of the columns whose name is quoted, or with ``#`` (DuckDB); or ``""`` alone.
        """
        if self.needed or self.rows:
            return self.needed
        named = {column for column, (_, quoted) in enumerate(header) if quoted}
        if not self.quoted:
            return self.empty or bool(named)
        return not self.bare or not self.others or (self.quoted <= named and not self.quoted & self.bare)


def has_quotes(lines: Iterable[str]) -> bool:
    """Whether the lines of a TSV, including line ends, use quoting. The first is the header, or an ordinary row."""
    header: list[tuple[str, bool]] | None = None
    seen = _Evidence()
    for record in _records(lines):
        if header is not None and len(seen.bare) == len(header) and '"' not in record and COMMENT not in record:
            continue
        fields = _fields(record)
        if fields is None and header is not None:
            return False
        if header is None:
            header = fields or [(name, False) for name in record.split("\t")]
        elif fields:
            seen.take(fields, record, len(header))
    return header is not None and seen.speaks_for_quotes(header)


def _are_rows(record: str, quoted_texts: list[str], width: int) -> bool:
    """Whether a record of several lines could equally be one row per line, with quote marks in the texts of two of
    them."""
    if "\n" not in record or width == 1 or any(line.count("\t") != width - 1 for line in record.split("\n")):
        return False
    ends = [(text.partition("\t")[0], text.rpartition("\t")[2]) for text in quoted_texts if "\n" in text]
    return all(first.strip() and last.strip() for first, last in ends)


def _records(lines: Iterable[str]) -> Iterator[str]:
    """Records without line ends: a record continues while a quote is open."""
    waiting: list[str] = []
    size, is_open = 0, False
    for line in lines:
        waiting.append(line)
        size += len(line)
        is_open ^= line.count('"') % 2 == 1
        if not is_open or size > LONGEST_RECORD:
            yield END.sub("", "".join(waiting))
            waiting, size, is_open = [], 0, False
    if waiting:
        yield "".join(waiting)


def _fields(record: str) -> list[tuple[str, bool]] | None:
    """The text of each field and whether it is quoted; None if a quote mark is somewhere it cannot be."""
    fields: list[tuple[str, bool]] = []
    at = 0
    while True:
        found = FIELD.match(record, at)
        if found is None:
            return None
        fields.append((found[2], False) if found[1] is None else (found[1], True))
        if not found[3]:
            return fields
        at = found.end()
