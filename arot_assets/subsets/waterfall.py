"""The waterfall of a subset: how many samples each of its predicates removes.

Belongs here: one SQL query that counts, and the table that people read.
Does not belong here: what the predicates are (``predicates.py``), one sample's fate (``explain.py``).

A predicate that is null for a sample (a value that is not there) removes it, as WHERE does.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arot_assets.subsets.predicates import Predicate, Selection

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Step:
    """One predicate's part.

    Attributes:
        text: the predicate as written.
        label: its comment, None without one.
        removed_alone: rows that it would remove if it were the only one.
        removed_in_order: rows that it removes of those which the ones before it kept.
        kept: rows left after it.
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
    steps: tuple[Step, ...]
    kept: int

    def to_markdown(self) -> str:
        """A table with the shares of the total; predicates come last, for they are long."""
        lines = [
            "| step | kept | of all | removes | alone | predicate |",
            "|---|--:|--:|--:|--:|---|",
            f"| *all rows* | {self.total:,} | {_share(self.total, self.total)} |  |  |  |",
        ]
        for step in self.steps:
            text = _cell(f"`{' '.join(step.text.split())}`")
            lines.append(
                f"| {_cell(step.label or '')} | {step.kept:,} | {_share(step.kept, self.total)} "
                f"| {step.removed_in_order:,} | {step.removed_alone:,} | {text} |"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        from dataclasses import asdict

        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Waterfall":
        """The reverse of ``to_dict``."""
        return cls(values["total"], tuple(Step(**s) for s in values["steps"]), values["kept"])


def waterfall_sql(selection: Selection) -> str:
    """The query that counts: one row of total, removed alone and in order for each WHERE predicate, then QUALIFY's.

    All WHERE predicates are counted in one pass over the rows; a QUALIFY takes two more, for its windows depend on the rows.
    """
    names = [f"__arot_{i}" for i in range(len(selection.predicates))]
    passes = [f"(\n{p.text}\n) is true as {n}" for p, n in zip(selection.predicates, names, strict=True)]
    counts = ["count(*)"]
    for i, name in enumerate(names):
        before = " and ".join([*names[:i], f"not {name}"])
        counts += [f"count(*) filter (not {name})", f"count(*) filter ({before})"]
    if selection.qualify is not None:
        text = selection.qualify.text
        counts.append(f"count(*) - (select count(*) from (\n{selection.probe([])}\nqualify {text}\n))")
        counts.append(f"(select count(*) from (\n{selection.probe([], where=True)}\nqualify {text}\n))")
    return f"select {', '.join(counts)}\nfrom (\n{selection.probe(passes)}\n)"


def compute_waterfall(con: "duckdb.DuckDBPyConnection", selection: Selection) -> Waterfall:
    """Count on a connection that has the tables of the model.

    Raises:
        duckdb.Error: the model's SQL does not run.
    """
    row = con.execute(waterfall_sql(selection)).fetchone()
    assert row is not None, "an aggregate without GROUP BY has one row"
    total, *counts = (int(v) for v in row)
    steps: list[Step] = []
    kept = total

    def add(predicate: Predicate, alone: int, in_order: int) -> None:
        nonlocal kept
        kept -= in_order
        steps.append(Step(predicate.text, predicate.label, alone, in_order, kept))

    for i, predicate in enumerate(selection.predicates):
        add(predicate, counts[2 * i], counts[2 * i + 1])
    if selection.qualify is not None:
        alone, left = counts[-2:]
        add(selection.qualify, alone, kept - left)
    return Waterfall(total, tuple(steps), kept)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}\N{NO-BREAK SPACE}%" if whole else "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
