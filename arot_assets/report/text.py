"""A report as lines for a terminal.

Belongs here: words and columns. Does not belong here: the page for a browser (``page.py``).
"""

from collections.abc import Iterator

from arot_assets.report.answers import Report


def lines(answers: Report, sql: bool = False) -> Iterator[str]:
    """The report: one line per question that found something, the most frequent first.

    Args:
        answers: what was found.
        sql: also print each query below its line.
    """
    counts = ", ".join(f"{rows:,} {status}" for status, rows in answers.statuses.items())
    yield f"{answers.dataset}: {answers.rows:,} rows ({counts})"
    found = sorted((a for a in answers.asked if a.rows), key=lambda a: -a.rows)
    for answer in found:
        share = answer.rows / answers.rows
        yield f"  {answer.rows:>8,}  {share:>6.1%}  {answer.question.name}: {answer.question.title}"
        if sql:
            yield from (f"                     {line}" for line in answer.sql.splitlines())
    nothing = [a.question.name for a in answers.asked if not a.rows]
    if nothing:
        yield f"  nothing found: {', '.join(nothing)}"
    for table in sorted({q.table for q in answers.unasked}):
        names = ", ".join(q.name for q in answers.unasked if q.table == table)
        yield f"  not answered ({names}): add '{table}' to the metrics of '{answers.dataset}' and run it"
