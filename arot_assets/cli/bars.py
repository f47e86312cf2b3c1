"""Progress on the command line: bars on a terminal, plain lines elsewhere.

Belongs here: how progress looks. Does not belong here: what reports progress (``arot_assets.progress``).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from arot_assets import progress


@contextmanager
def bar(title: str, total: int | None) -> Iterator[progress.Advance]:
    """One bar for one piece of work; it stays when done."""
    from tqdm import tqdm

    with tqdm(total=total, desc=title, unit="", dynamic_ncols=True) as shown:
        yield shown.update


@contextmanager
def plain(title: str, total: int | None) -> Iterator[progress.Advance]:
    """One line at the start of a piece of work, and log lines while it takes long."""
    print(f"  {title}" + (f" ({total:,})" if total is not None else ""), flush=True)
    with progress.log_lines(title, total) as advance:
        yield advance


def reporter() -> progress.Reporter:
    """Bars on a terminal, lines otherwise."""
    return bar if sys.stdout.isatty() else plain
