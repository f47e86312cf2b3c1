"""Answering the questions of a report: counts and examples, from the existing tables.

Belongs here: running the queries. Does not belong here: their text (``questions.py``), thumbnails and pages (``page.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from arot_assets.media.question import QualityQuestion
from arot_assets.report.questions import SAMPLES, sql_of
from resources.tables import TableRef, Tables
from resources.warehouse import Connection

EXAMPLES = 24


@dataclass(frozen=True)
class Example:
    """One file that a question found: its address, its identity if it could be read, and a short text about it."""

    uri: str
    sample_id: str | None
    shows: str


@dataclass(frozen=True)
class ReportItem:
    """The answer to a question.

    Attributes:
        question: the question.
        sql: the query, ready to run.
        rows: number of files found.
        examples: the most extreme ones.
    """

    question: QualityQuestion
    sql: str
    rows: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Report:
    """A dataset's report.

    Attributes:
        dataset: its name.
        statuses: status -> rows of samples.
        asked: answers, in the order of the questions.
        unasked: questions whose table the dataset does not have.
    """

    dataset: str
    statuses: dict[str, int]
    asked: tuple[ReportItem, ...]
    unasked: tuple[QualityQuestion, ...]

    @property
    def rows(self) -> int:
        """All rows of samples."""
        return sum(self.statuses.values())


def ask(
    con: Connection,
    tables: Tables,
    dataset: str,
    questions: Sequence[QualityQuestion],
    examples: int = EXAMPLES,
) -> Report:
    """Answer questions about a dataset from its tables.

    Args:
        con: a connection of the warehouse.
        tables: the store's tables.
        dataset: its name.
        questions: the questions.
        examples: how many files each answer names.
    """
    there = {name for name in tables.of(dataset) if tables.shards(dataset, name)}
    statuses = dict(
        con.execute(f'select status, count(*) from "{dataset}".samples group by 1 order by 2 desc, 1').fetchall()
    )
    asked = []
    for question in questions:
        if question.table == SAMPLES or question.table in there:
            sql = sql_of(question, dataset)
            # one scan for the count and the examples
            found = con.execute(f"select *, count(*) over () from ({sql}) limit {examples}").fetchall()
            shown = tuple(Example(uri, sample_id, shows or "") for sample_id, uri, shows, _ in found)
            asked.append(ReportItem(question, sql, found[0][3] if found else 0, shown))
    names = {a.question.name for a in asked}
    return Report(dataset, statuses, tuple(asked), tuple(q for q in questions if q.name not in names))


def has_samples(tables: Tables, dataset: str) -> bool:
    """Whether there is anything to ask about."""
    return bool(tables.shards(dataset, TableRef(dataset, SAMPLES).table))
