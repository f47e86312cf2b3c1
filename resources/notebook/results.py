"""Many objects at a time: a value or an error for each, in order.

Belongs here: running work on many URIs at once, retries, progress. Does not belong here: what is done with one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from resources.parallel import ordered_map
from resources.retry import Retry
from resources.storage.objects import StorageError

T = TypeVar("T")

FINAL = {"not_found", "denied", "too_large", "opt_out", "format", "private"}
"""Kinds of errors that are the same on the next try."""
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """What came of one URI.

    Attributes:
        uri: as it was asked for.
        value: what it holds; None when it could not be had.
        error: why it could not be had; None when all is well.
        tries: how often it was asked for.
    """

    uri: str
    value: T | None
    error: StorageError | None = None
    tries: int = 1

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    def unwrap(self) -> T:
        """The value.

        Raises:
            StorageError: there is none, for this reason.
        """
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None is a value that a file may hold


def load_many(
    uris: Sequence[str],
    load: Callable[[str], T],
    *,
    workers: int = 16,
    retries: int = 2,
    progress: bool | Callable[[int], None] = True,
    title: str = "loading",
) -> list[Loaded[T]]:
    """Do something with many URIs at once.

    Args:
        uris: any number.
        load: what to do with one; it may raise ``StorageError``, other errors end the whole.
        workers: threads.
        retries: so many more tries for what may be better the next time; what is not there is asked for once.
        progress: show a bar, or a function that is told of each that is done.
        title: in front of the bar.

    Returns:
        One result for each URI, in their order.
    """
    advance, finish = _reporting(progress, len(uris), title)

    def one(uri: str) -> Loaded[T]:
        found = _try(uri, load, retries)
        advance(1)
        return found

    try:
        # all are held in the end: none need wait for those before it
        return list(ordered_map(one, uris, max(1, min(workers, len(uris))), window=len(uris), finish=True))
    finally:
        finish()


def _try(uri: str, load: Callable[[str], T], retries: int) -> Loaded[T]:
    retry = Retry(retries + 1, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
    while True:
        tries = retry.failed + 1
        try:
            return Loaded(uri, load(uri), None, tries)
        except StorageError as error:
            if error.kind in FINAL or not retry.again():
                return Loaded(uri, None, error, tries)


def _reporting(
    progress: bool | Callable[[int], None], total: int, title: str
) -> tuple[Callable[[int], Any], Callable[[], None]]:
    """What is told of each that is done, and what ends it."""
    if callable(progress):
        return progress, lambda: None
    from tqdm import tqdm  # the text bar: it needs nothing of the notebook that shows it

    bar = tqdm(total=total, desc=title, unit="object", disable=not progress, leave=total > 0)
    return bar.update, bar.close
