"""Progress on the command line: bars on a terminal, plain lines elsewhere.

Belongs here: how progress looks here. What reports progress: ``arot_assets.progress``.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from arot_assets import progress


@contextmanager
def bar(title: str, total: int | None) -> Iterator[progress.Advance]:
    """One bar for one piece of work; it stays when done."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn()]
    columns += [TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, transient=False) as shown:
        task = shown.add_task(title, total=total, rate="")

        def advance(n: int) -> None:
            shown.advance(task, n)
            speed = shown.tasks[0].speed
            if speed:
                shown.update(task, rate=f"{speed:,.0f}/s")

        yield advance
        if total is None:
            shown.update(task, total=shown.tasks[0].completed or 1, completed=shown.tasks[0].completed or 1)


@contextmanager
def plain(title: str, total: int | None) -> Iterator[progress.Advance]:
    """One line at the start of a piece of work, and the log's lines while it is long."""
    print(f"  {title}" + (f" ({total:,})" if total is not None else ""), flush=True)
    with progress.log_lines(title, total) as advance:
        yield advance


def reporter() -> progress.Reporter:
    """Bars when a person looks on, lines otherwise."""
    return bar if sys.stdout.isatty() else plain
