"""The waterfall of a subset: how many samples each of its predicates removes.

Belongs here: one SQL query that counts, and the table that users read. Does not belong here: what the predicates are
(``predicates.py``), the verdict on one sample (``explain.py``).

A predicate that is null for a sample (a missing value) removes it, as WHERE does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arot_assets.markdown import write_table
from arot_assets.subsets.predicates import Predicate, SubsetClauses
from arot_assets.subsets.syntax import name
from resources.warehouse import Connection

FLAG = "__arot_p"
LONGEST_LINE = 100
"""Maximum characters of a predicate in a terminal."""


@dataclass(frozen=True)
class PredicateEffect:
    """The effect of one predicate.

    Attributes:
        text: the predicate as written.
        label: its comment, None if there is none.
        removed_alone: rows that it would remove if it were the only one.
        removed_in_order: rows that it removes from those kept by the predicates before it.
        kept: rows that remain after it.
    """

    text: str
    label: str | None
    removed_alone: int
    removed_in_order: int
    kept: int


@dataclass(frozen=True)
class Waterfall:
    """From all rows of a subset's FROM to the rows kept.

    Attributes:
        total: rows of FROM, joins included.
        steps: one for each predicate, in order.
        kept: rows of the subset.
    """

    total: int
    steps: tuple[PredicateEffect, ...]
    kept: int

    def to_markdown(self) -> str:
        """A table with the percentages of the total; predicates come last, because they are long."""
        rows: list[Sequence[object]] = [("*all rows*", self.total, _share(self.total, self.total), "", "", "")]
        for step in self.steps:
            share, text = _share(step.kept, self.total), f"`{' '.join(step.text.split())}`"
            rows.append((step.label or "", step.kept, share, step.removed_in_order, step.removed_alone, text))
        numbers = ("kept", "of all", "removes", "alone")
        return write_table(("step", *numbers, "predicate"), rows, right=numbers)

    def to_text(self) -> str:
        """Aligned lines for a terminal: rows kept, their percentage, rows removed in order and alone, and the
        predicate."""
        rows = [
            ("kept", "of all", "removes", "alone", ""),
            (f"{self.total:,}", _share(self.total, self.total), "", "", "all rows"),
        ]
        for step in self.steps:
            text = " ".join(step.text.split())
            said = f"{step.label}: {text}" if step.label else text
            shown = said if len(said) <= LONGEST_LINE else said[: LONGEST_LINE - 1] + "…"
            counts = (
                f"{step.kept:,}",
                _share(step.kept, self.total),
                f"{step.removed_in_order:,}",
                f"{step.removed_alone:,}",
            )
            rows.append((*counts, shown))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip()
            for row in rows
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        from dataclasses import asdict

        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Waterfall":
        """The reverse of ``to_dict``."""
        return cls(values["total"], tuple(PredicateEffect(**s) for s in values["steps"]), values["kept"])


def verdict_columns(selection: SubsetClauses) -> list[str]:
    """A column to probe for each predicate of WHERE: whether it lets the row in. ``flags`` returns their names."""
    return [f'(\n{p.text}\n) is true as "{FLAG}{i}:\\0"' for i, p in enumerate(selection.predicates)]


def flags(con: Connection, selection: SubsetClauses) -> list[dict[str, str]]:
    """For each predicate of WHERE its verdicts, by the name of the column that each is about.

    One verdict under the empty name, except for a predicate that DuckDB expands to several columns: each of them must
    hold.

    Args:
        con: a connection with the tables of the model.
        selection: its ``verdict_columns`` are probed.

    Raises:
        duckdb.Error: the model's SQL does not run.
    """
    found = [{"": f'"{FLAG}{i}:\\0"'} for i in range(len(selection.predicates))]
    if any(p.expands for p in selection.predicates):
        described = con.execute(f"describe {selection.probe(verdict_columns(selection))}").fetchall()
        for i, predicate in enumerate(selection.predicates):
            if predicate.expands:
                start = f"{FLAG}{i}:"
                names = [str(row[0]) for row in described if str(row[0]).startswith(start)]
                found[i] = {n.removeprefix(start): name([n]) for n in names}
    return found


def compute_waterfall(con: Connection, selection: SubsetClauses) -> Waterfall:
    """Count on a connection that has the model's tables.

    Raises:
        duckdb.Error: the model's SQL does not run.
    """
    row = con.execute(_counting(selection, flags(con, selection))).fetchone()
    assert row is not None, "an aggregate without GROUP BY has one row"
    total, *counts = (int(v) for v in row)
    steps: list[PredicateEffect] = []
    kept = total

    def add(predicate: Predicate, alone: int, in_order: int) -> None:
        nonlocal kept
        kept -= in_order
        steps.append(PredicateEffect(predicate.text, predicate.label, alone, in_order, kept))

    for i, predicate in enumerate(selection.predicates):
        add(predicate, counts[2 * i], counts[2 * i + 1])
    if selection.qualify is not None:
        alone, left = counts[-2:]
        add(selection.qualify, alone, kept - left)
    return Waterfall(total, tuple(steps), kept)


def _counting(selection: SubsetClauses, verdicts: list[dict[str, str]]) -> str:
    """The query that counts: one row with the total, removed alone and in order for each WHERE predicate, then for
    QUALIFY.

    All WHERE predicates are counted in one pass over the rows; a QUALIFY takes two more, because its windows depend on
    the rows.
    """
    names = [f"({' and '.join(v.values())})" for v in verdicts]
    counts = ["count(*)"]
    for i, flag in enumerate(names):
        before = " and ".join([*names[:i], f"not {flag}"])
        counts += [f"count(*) filter (not {flag})", f"count(*) filter ({before})"]
    if selection.qualify is not None:
        alone = selection.probe([], qualify=True)
        in_order = selection.probe([], where=True, qualify=True)
        counts.append(f"count(*) - (select count(*) from (\n{alone}\n))")
        counts.append(f"(select count(*) from (\n{in_order}\n))")
    return f"select {', '.join(counts)}\nfrom (\n{selection.probe(verdict_columns(selection))}\n)"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}\N{NO-BREAK SPACE}%" if whole else "–"
