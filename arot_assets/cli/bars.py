"""Progress on the command line: bars on a terminal, plain lines elsewhere.

Belongs here: how progress looks. Does not belong here: what reports progress (``arot_assets.progress``).
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from arot_assets import progress
from resources.compute import lookout

_all_shards = 0
"""How many bars of all shards of a step are shown."""


@contextmanager
def bar(title: str, total: int | None) -> Iterator[progress.Advance]:
    """One bar for one piece of work; it stays when done, unless it is a part of what another bar shows."""
    from tqdm import tqdm

    with tqdm(total=total, desc=title, unit="", dynamic_ncols=True, leave=not _all_shards) as shown:
        yield shown.update


@contextmanager
def bar_of_shards(title: str) -> Iterator[progress.Overall]:
    """One bar for all shards of a step, above that of the shard that is worked on."""
    from tqdm import tqdm

    global _all_shards
    with tqdm(total=100, desc=title, dynamic_ncols=True, bar_format="{desc}: {percentage:3.0f}%{postfix}") as shown:

        def say(share: float, words: str) -> None:
            shown.n = 100 * share
            shown.set_postfix_str(words)

        _all_shards += 1
        try:
            yield say
        finally:
            _all_shards -= 1


@contextmanager
def plain(title: str, total: int | None) -> Iterator[progress.Advance]:
    """One line at the start of a piece of work, and log lines while it takes long."""
    print(f"  {title}" + (f" ({total:,})" if total is not None else ""), flush=True)
    with progress.log_lines(title, total) as advance:
        yield advance


@contextmanager
def plain_shards(title: str) -> Iterator[progress.Overall]:
    """A line at the start, and every few seconds."""
    last = -progress.LOG_EVERY_SECONDS

    def say(share: float, words: str) -> None:
        nonlocal last
        if time.monotonic() - last >= progress.LOG_EVERY_SECONDS:
            last = time.monotonic()
            print(f"  {title}: {share:.0%}, {words}", flush=True)

    yield say


def reporter() -> progress.Reporter:
    """Bars on a terminal, lines otherwise."""
    return bar if sys.stdout.isatty() else plain


class _Above(logging.Handler):
    """Lines above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        from tqdm import tqdm

        tqdm.write(f"  {record.getMessage()}", file=sys.stderr)


@contextmanager
def showing() -> Iterator[None]:
    """Show all progress of this process that way for a while, and why a cluster makes none."""
    above = _Above()
    lookout.log.addHandler(above)
    try:
        with progress.reporting(reporter(), bar_of_shards if sys.stdout.isatty() else plain_shards):
            yield
    finally:
        lookout.log.removeHandler(above)
