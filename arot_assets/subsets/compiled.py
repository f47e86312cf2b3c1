"""SQL as templates produce it: names of tables, and text that knows where its lines come from.

Belongs here: these texts, and finding lines. Does not belong here: rendering (``render.py``).
"""

import re
from collections.abc import Callable

TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
MARK = re.compile("\ue000(\\d+)\ue001")
"""A line number, inserted before the line's first character; from Unicode's private use area, which no SQL needs."""


class Relation(str):
    """A table's name as written in SQL: ``"schema"."identifier"``.

    Attributes:
        schema: the schema's name, unquoted.
        identifier: the table's name, unquoted.
    """

    schema: str
    identifier: str

    def __new__(cls, schema: str, identifier: str) -> "Relation":
        """Quote both names."""
        made = super().__new__(cls, f'"{schema}"."{identifier}"')
        made.schema = schema
        made.identifier = identifier
        return made


class CompiledSql(str):
    """SQL that knows which line of its template each of its lines comes from."""

    _trace: Callable[[], str]

    def __new__(cls, text: str, trace: Callable[[], str] | None = None) -> "CompiledSql":
        """Args: the SQL, and a function that renders it again with marks at the beginning of the template's lines."""
        made = super().__new__(cls, text)
        made._trace = trace if trace is not None else lambda: text
        return made

    def origin(self, line: int) -> int | None:
        """The template's line (from 1) that a line comes from; None if whitespace control or a macro moved it."""
        try:
            marked = self._trace()
        except Exception:  # a template that inspects its own text; without marks it works
            return None
        if MARK.sub("", marked) != self:
            return None
        lines = marked.split("\n")
        if not 0 < line <= len(lines):
            return None
        found = MARK.findall("\n".join(lines[: line - 1]))
        here = MARK.search(lines[line - 1])
        if here is not None:
            return int(here.group(1))
        return int(found[-1]) if found else None

    def without_end(self) -> "CompiledSql":
        """The same without trailing whitespace and semicolons."""
        return CompiledSql(_ended(self), lambda: _ended(self._trace()))


def _ended(text: str) -> str:
    return text.rstrip().rstrip(";").rstrip()


def line_of(text: str, pattern: str) -> int:
    """The line (from 1) of the first match of a pattern; 1 if there is none."""
    found = re.search(pattern, text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def marked(text: str) -> str:
    """A template with a mark before the first character of each line that produces output there.

    A mark must not be where whitespace control would strip it, nor inside a tag.
    """
    tags = [tag.span() for tag in TAG.finditer(text)]
    parts: list[str] = []
    position = 0
    for number, line in enumerate(text.split("\n"), start=1):
        begin = position + len(line) - len(line.lstrip())
        inside = any(first < begin < last for first, last in tags)
        writes = line.strip() and not line.lstrip().startswith(("{%", "{#", "{{-"))
        if writes and not inside:
            parts.append(f"{text[position:begin]}\ue000{number}\ue001{text[begin : position + len(line)]}")
        else:
            parts.append(line)
        position += len(line) + 1
    return "\n".join(parts)
