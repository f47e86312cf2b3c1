"""Objects of a far source are fetched before they are asked for: as many as there is room for, and no more."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from arot_assets.datasets import ahead
from arot_assets.datasets.ahead import ReadAhead
from resources.storage import StorageError

URIS = [f"u{n}" for n in range(200)]


class Source:
    """Counts what is asked for and lets nothing pass before ``together`` requests are under way."""

    def __init__(self, together: int = 1) -> None:
        self.asked: list[str] = []
        self._barrier = threading.Barrier(together)

    def __call__(self, uri: str) -> bytes:
        self.asked.append(uri)
        if len(self.asked) <= self._barrier.parties:
            self._barrier.wait(timeout=10)
        if uri.endswith("7"):
            raise StorageError(f"no {uri}")
        return uri.encode()


def test_each_object_is_read_once_and_failures_come_in_their_turn() -> None:
    source = Source()
    with ReadAhead(source, URIS, threads=4) as read, ThreadPoolExecutor(3) as pool:

        def one(uri: str) -> bytes | None:
            try:
                return read(uri)
            except StorageError:
                return None

        found = list(pool.map(one, URIS))
    assert found == [None if u.endswith("7") else u.encode() for u in URIS]
    assert sorted(source.asked) == sorted(URIS)


def test_many_are_under_way_while_one_is_asked_for() -> None:
    source = Source(together=8)  # breaks unless eight are asked for at once
    with ReadAhead(source, URIS, threads=8) as read:
        assert read("u0") == b"u0"


def test_what_was_not_announced_is_read_too() -> None:
    with ReadAhead(Source(), ["u1"], threads=2) as read:
        assert read("other") == b"other" and read("u1") == b"u1"


def test_no_more_is_held_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "HELD_BYTES", 10)
    asked: list[str] = []

    def source(uri: str) -> bytes:
        asked.append(uri)
        return b"x" * 10

    with ReadAhead(source, URIS, threads=2) as read:
        for number, uri in enumerate(URIS):
            assert len(read(uri)) == 10
            assert len(asked) <= number + 1 + 2 * ahead.WINDOW_PER_THREAD + 2
    assert asked == URIS


def test_leaving_early_asks_for_nothing_more() -> None:
    source = Source()
    with ReadAhead(source, URIS, threads=2) as read:
        read("u0")
    assert len(source.asked) < 20
