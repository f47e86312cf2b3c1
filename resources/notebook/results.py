"""Many objects at once: a value or an error for each, in order.

Belongs here: concurrent work on many URIs, retries, progress. Does not belong here: what is done with one URI.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from resources.parallel import ordered_map
from resources.retry import Retry
from resources.storage.objects import StorageError

T = TypeVar("T")

FINAL = {"not_found", "denied", "too_large", "opt_out", "format", "private"}
"""Kinds of errors that another attempt cannot fix."""
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """The outcome for one URI.

    Attributes:
        uri: as it was requested.
        value: the loaded value; None on failure.
        error: why it failed; None on success.
        tries: the number of attempts.
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
            StorageError: the load failed, for this reason.
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
    """Apply a function to many URIs concurrently.

    Args:
        uris: any number.
        load: what to do with one; it may raise ``StorageError``, other errors end the whole call.
        workers: threads.
        retries: additional attempts for failures that may be temporary; an object that is not there is requested once.
        progress: show a bar, or a function that is called after each one.
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
        # all results are kept anyway: none needs to wait for earlier ones
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
    """The function called after each URI, and the one that ends the progress bar."""
    if callable(progress):
        return progress, lambda: None
    from tqdm import tqdm  # the text bar: it needs no support from the notebook

    bar = tqdm(total=total, desc=title, unit="object", disable=not progress, leave=total > 0)
    return bar.update, bar.close
