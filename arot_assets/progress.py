"""Progress of long work.

Belongs here: the one way in which rooms report progress. The receiver decides how it looks: in a Dagster run, a line in the log
every few seconds (logger ``arot``); on the command line, a progress bar (installed by ``cli``).
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]
Reporter = Callable[[str, int | None], AbstractContextManager[Advance]]

LOG_EVERY_SECONDS = 10.0
log = logging.getLogger("arot")


@contextmanager
def log_lines(title: str, total: int | None) -> Iterator[Advance]:
    """Report to the log: a line every ``LOG_EVERY_SECONDS``, and one at the end of work that took longer than that."""
    started = last = time.monotonic()
    done = 0

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if now - last >= LOG_EVERY_SECONDS:
            last = now
            log.info("%s: %s", title, _pace(done, total, now - started))

    yield advance
    seconds = time.monotonic() - started
    if seconds >= LOG_EVERY_SECONDS:
        log.info("%s: done, %s", title, _pace(done, total, seconds))


def _pace(done: int, total: int | None, seconds: float) -> str:
    rate = done / seconds if seconds else 0.0
    text = f"{done:,}" + (f" of {total:,}" if total is not None else "") + f", {rate:,.1f}/s"
    if total is not None and rate and done < total:
        text += f", {(total - done) / rate:,.0f} s left"
    return text


SHARD_DONE = "shard done: "
"""What the line of a finished shard begins with, by which the sensor of hanging runs knows that work goes on."""


_reporter: Reporter = log_lines


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Send all progress of this process to another reporter for a while."""
    global _reporter
    before, _reporter = _reporter, reporter
    try:
        yield
    finally:
        _reporter = before


_kept: dict[str, int] = {}


def kept(title: str, rows: int) -> None:
    """Record that unfinished work was stopped, and how many of its finished rows are kept."""
    _kept[title] = rows


def stopped() -> bool:
    """Whether any work of this process was stopped before its end."""
    return bool(_kept)


def what_is_kept() -> str:
    """One line for the user who stopped the work."""
    rows = ", ".join(f"{n:,} {'row' if n == 1 else 'rows'} of {title}" for title, n in _kept.items())
    return f"kept: all finished shards, and {rows}"


def track(title: str, total: int | None = None) -> AbstractContextManager[Advance]:
    """Report a piece of work.

    Args:
        title: what is being done, e.g. ``demo/samples 00003``.
        total: how many steps, None if not known.

    Returns:
        A context manager that gives ``advance(n)``.
    """
    return _reporter(title, total)
