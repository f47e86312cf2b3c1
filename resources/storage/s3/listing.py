"""Listings of S3 of any length: a page after another, or several parts of a long one at once.

Belongs here: which pages are asked for, in what order. Does not belong here: a request (``requests.py``), reading its answer
(``pages.py``).

A page has a thousand keys and takes a round trip, so that millions of keys are hours of waiting. Keys come in the order of their
bytes, and a listing can begin after any text. So the names of folders divide a long prefix into ranges that are listed side by
side; they are only cuts, and whatever lies between two of them is listed. Where a server lists in another order, or does not
begin where it was told to, pages are asked for one after another.
"""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, pairwise

from resources.storage.objects import ObjectColumns, StorageError
from resources.storage.s3.pages import Page

Ask = Callable[[dict[str, str], str | None], Page]
"""Asks for a page: parameters, token of the page before."""
LONG = 20
"""Pages after which a listing is divided: before, there is little to gain."""
AT_ONCE = 8
"""Ranges that are listed side by side."""
RANGES = 64
LEVELS = 4
FOLDER_PAGES = 10
"""Pages of folder names that are looked at, at each level."""


@dataclass(frozen=True)
class KeyRange:
    """Keys after one text, up to another.

    Attributes:
        after: not included.
        until: included; empty for the end.
    """

    after: str
    until: str


def one_by_one(ask: Ask, query: dict[str, str]) -> Generator[Page, None, None]:
    """The pages of a listing, with the next one in progress while these are processed."""
    with ThreadPoolExecutor(1, thread_name_prefix="arot-listing") as ahead:
        page = ask(query, None)
        while page.token is not None:
            following = ahead.submit(ask, query, page.token)
            yield page
            page = following.result()
        yield page


def whole_prefix(ask: Ask, root: str, prefix: str) -> Iterator[ObjectColumns]:
    """Every object below a prefix, each once; those of a long listing in no particular order.

    Args:
        ask: of the bucket.
        root: ``s3://bucket/``, with which each uri begins.
        prefix: empty, or ends with ``/``.

    Raises:
        StorageError: a page cannot be listed, or the server changed its order on the way.
    """
    last, ordered = "", True
    with closing(one_by_one(ask, {"prefix": prefix})) as pages:
        for number, page in enumerate(pages, 1):
            yield page.objects
            keys = _keys(page.objects, root)
            ordered = ordered and _ascends([last, *keys])
            last = keys[-1] if keys else last
            if number == LONG and page.token is not None and ordered and _begins_after(ask, root, prefix, last):
                break
        else:
            return
    yield from side_by_side(ask, root, prefix, ranges(ask, prefix, last))


def ranges(ask: Ask, prefix: str, after: str) -> list[KeyRange]:
    """The keys of a prefix after one of them, in at most ``RANGES`` parts; one where no folder begins after it."""
    level, names = prefix, set[str]()
    for _ in range(LEVELS):
        query = {"prefix": level, "delimiter": "/", "start-after": after}
        with closing(one_by_one(ask, query)) as pages:
            for page in islice(pages, FOLDER_PAGES):
                names |= {f"{name}/" for name in page.folders if f"{name}/" > after}
        folder, slash, _ = after[len(level) :].partition("/")
        if len(names) >= AT_ONCE or not slash:
            break
        level += folder + slash  # few folders follow that of ``after``: those within it
    ordered = sorted(names)
    every = max(1, -(-len(ordered) // (RANGES - 1)))
    cuts = [after, *ordered[::every]]
    return [KeyRange(one, other) for one, other in zip(cuts, [*cuts[1:], ""], strict=True)]


def side_by_side(ask: Ask, root: str, prefix: str, parts: list[KeyRange]) -> Iterator[ObjectColumns]:
    """The objects of these ranges; at most ``AT_ONCE`` pages are in memory.

    Raises:
        StorageError: a page cannot be listed, or its keys are not in order, so that ranges prove nothing.
    """
    left = list(reversed(parts))
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="arot-listing") as pool:
        under_way: dict[Future[Page], tuple[KeyRange, str]] = {}

        def begin() -> None:
            part = left.pop()
            query = {"prefix": prefix, "start-after": part.after}
            under_way[pool.submit(ask, query, None)] = (part, part.after)

        try:
            while left and len(under_way) < AT_ONCE:
                begin()
            while under_way:
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    part, last = under_way.pop(future)
                    page = future.result()
                    keys = _keys(page.objects, root)
                    if not _ascends([last, *keys]):
                        raise StorageError(
                            f"cannot list '{root}{prefix}': the server returned keys out of order; list it again, or declare its "
                            "folders as datasets of their own"
                        )
                    ends = bool(part.until and keys and keys[-1] > part.until)
                    if page.token is not None and not ends:
                        query = {"prefix": prefix, "start-after": part.after}
                        following = pool.submit(ask, query, page.token)
                        under_way[following] = (part, keys[-1] if keys else last)
                    elif left:
                        begin()
                    yield _until(page.objects, keys, part.until) if ends else page.objects
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begins_after(ask: Ask, root: str, prefix: str, after: str) -> bool:
    """Whether the server begins a listing where it is told to."""
    keys = _keys(ask({"prefix": prefix, "start-after": after}, None).objects, root)
    return bool(keys) and _ascends([after, *keys])


def _keys(objects: ObjectColumns, root: str) -> list[str]:
    return [uri[len(root) :] for uri in objects.uri]


def _ascends(keys: list[str]) -> bool:
    """Whether keys are in the order of their UTF-8 bytes, which is that of their code points; each once."""
    return all(one < other for one, other in pairwise(keys))


def _until(objects: ObjectColumns, keys: list[str], until: str) -> ObjectColumns:
    """The objects up to a key."""
    count = sum(key <= until for key in keys)
    return ObjectColumns(objects.uri[:count], objects.size[:count], objects.mtime[:count], objects.etag[:count])
