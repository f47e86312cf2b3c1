"""Progress of long work.

Belongs here: the one way in which rooms report progress. The receiver decides how it looks: in a Dagster run, a line in the log
every few seconds (logger ``arot``); on the command line, a progress bar (installed by ``cli``). How far all shards of a step are
goes another way, since in a Dagster run people see it elsewhere too (``shard_progress.py``).
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]
Reporter = Callable[[str, int | None], AbstractContextManager[Advance]]
Overall = Callable[[float, str], None]
"""Takes how far a step is: the share that is done, 0-1, and the same in words."""
OverallReporter = Callable[[str], AbstractContextManager[Overall]]

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
"""What the line of a finished shard begins with."""
WAITING = "waiting"
"""What the line of a run begins with that waits for another run."""
_PACE = re.compile(r": (done, )?[\d,]+( of [\d,]+)?, [\d,.]+/s(, [\d,]+ s left)?$")


def tells_progress(line: str) -> bool:
    """Whether a line of the log says that work went on: a shard was finished, or steps of ``track`` were. That something
    waits, or is tried again, is none.
    """
    return line.startswith(SHARD_DONE) or _PACE.search(line) is not None


@contextmanager
def nowhere(_title: str) -> Iterator[Overall]:
    """Report nothing: in a Dagster run, the log has a line for each finished shard anyway."""
    yield lambda _share, _words: None


_reporter: Reporter = log_lines
_overall: OverallReporter = nowhere


@contextmanager
def reporting(reporter: Reporter, overall: OverallReporter = nowhere) -> Iterator[None]:
    """Send all progress of this process to another reporter for a while.

    Args:
        reporter: of pieces of work.
        overall: of all shards of a step.
    """
    global _reporter, _overall
    before, (_reporter, _overall) = (_reporter, _overall), (reporter, overall)
    try:
        yield
    finally:
        _reporter, _overall = before


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


def track_shards(title: str) -> AbstractContextManager[Overall]:
    """Report how far all shards of a step are.

    Args:
        title: the step, e.g. ``demo/samples``.

    Returns:
        A context manager that gives a function of the share that is done, and of words.
    """
    return _overall(title)
