"""The fenced snippets of README.md and docs/*.md, and how a reader would follow them.

Belongs here: finding snippets, what each kind of snippet means, comparing printed output with what a page shows.
Does not belong here: which pages there are and in which project they are followed (``test_snippets.py``).

What a snippet means:

- its first line is a comment with a path (``# arot_assets/…/defs.yaml``, ``-- dbt_like_sql/…/x.sql``): a file to be saved there;
- ``console``: lines that begin with ``$`` are commands, the lines below each are what it prints;
- ``diff``: a change to a file of the project;
- ``python``: runs in the project;
- ``sql``: a query over the catalogue, or a model when it holds ``{{``;
- ``mermaid``: a drawing, which is not run;
- ``yaml``: a declaration, as a ``defs.yaml`` would hold it.

In printed output ``…`` stands for anything, a line of it for any lines; spaces do not count, and lines may be left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"^(?:#|--) (?P<path>[\w-][\w./-]*\.(?:py|ya?ml|sql))$")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
KINDS = ("console", "diff", "mermaid", "python", "sql", "yaml")
NETWORK = "needs-network"
ELSEWHERE = frozenset({NETWORK, "other-machine", "dagster-settings"})
"""Flags of what is not followed here: it needs a network, is typed on another machine, or is part of a file that is no declaration."""


@dataclass(frozen=True)
class Snippet:
    """One fenced block.

    Attributes:
        page: the Markdown file.
        line: 1-based line of its first line of text.
        kind: the first word behind the fence.
        flags: the other words.
        text: what is between the fences.
    """

    page: Path
    line: int
    kind: str
    flags: tuple[str, ...]
    text: str

    @property
    def path(self) -> str | None:
        """The file that the snippet is to be saved as, None if it is none."""
        found = PATH.match(self.text.split("\n", 1)[0])
        return found["path"] if found else None

    @property
    def place(self) -> str:
        """``page:line``, for messages."""
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a console snippet and the lines that it is shown to print."""

    text: str
    output: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether the page shows it to fail."""
        return any(line.startswith("Error:") for line in self.output)


def snippets(page: Path) -> Iterator[Snippet]:
    """Every fenced block of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        kind, *flags = found["info"].split() or [""]
        yield Snippet(page, text.count("\n", 0, found.start("text")) + 1, kind, tuple(flags), found["text"])


def commands(snippet: Snippet) -> list[Command]:
    """The commands of a console snippet; a backslash at the end of a line continues it."""
    read: list[tuple[str, list[str]]] = []
    continued = False
    for line in snippet.text.splitlines():
        if line.startswith("$ "):
            read.append((line[2:], []))
        elif continued:
            command, output = read.pop()
            read.append((f"{command}\n{line}", output))
        else:
            assert read, f"{snippet.place}: a console snippet begins with a command ('$ …')"
            read[-1][1].append(line)
        continued = line.endswith("\\")
    return [Command(text, tuple(output)) for text, output in read]


def missing_line(shown: tuple[str, ...], printed: str) -> str | None:
    """The first shown line that the printed text does not have below the lines before it; None if all are there."""
    lines = iter([_plain(line) for line in printed.splitlines()])
    for line in shown:
        wanted = _plain(line)
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("…")))
        if wanted not in ("", "…") and not any(pattern.fullmatch(found) for found in lines):
            return line
    return None


def _plain(line: str) -> str:
    return " ".join(COLOUR.sub("", line).split())
