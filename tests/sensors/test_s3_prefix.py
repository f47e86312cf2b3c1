"""The sensor of a prefix on S3: every change is seen within a round, by few requests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resources.storage import Storage
from resources.storage.s3.settings import S3Settings
from sensors import s3_prefix
from tests.conftest import Dataset
from tests.servers.faults import FaultProxy, Faults
from tests.servers.fixtures import bucket, swift  # noqa: F401
from tests.servers.swift import Swift


@pytest.fixture
def far(
    make_dataset: Callable[..., Dataset], swift: Swift, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Dataset:
    """A dataset over thirty objects on S3, of which a look takes eight; its inventory is taken."""
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("resources.storage.s3.backend.PAGE", 4)
    monkeypatch.setattr(s3_prefix, "WINDOW", 8)
    root = f"s3://{bucket}/pictures"
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(30):
        (folder / f"{i:03}.jpg").write_bytes(b"%d" % i)
        if i % 5 == 0:
            (folder / f"{i:03}.txt").write_bytes(b"a caption")
    Storage().sync(str(folder), root)
    dataset = make_dataset(root)  # type: ignore[arg-type]
    dataset.inventory()
    return dataset


def round_of(dataset: Dataset, storage: Storage | None = None, after: str = "") -> tuple[list[str], int]:
    """What the looks of a whole round say, and how many there were."""
    said: list[str] = []
    looks = 0
    while looks < 50:
        found = s3_prefix.look(
            storage or dataset.resources.storage, dataset.resources.tables, dataset.declaration, after
        )
        looks, after = looks + 1, found.after
        if found.change is not None:
            said.append(found.change.text)
        if not after:
            break
    return said, looks


def test_nothing_changed_is_quiet_all_round(far: Dataset) -> None:
    said, looks = round_of(far)
    assert said == [] and 3 <= looks <= 10


def test_change_anywhere_is_seen_within_a_round(far: Dataset) -> None:
    root = far.declaration.root
    for act, told in (
        (lambda: Storage().write(f"{root}/011a.jpg", b"new"), "1 new, 0 changed, 0 gone"),
        (lambda: Storage().write(f"{root}/017.jpg", b"other size"), "0 new, 1 changed, 0 gone"),
        (lambda: Storage().delete(f"{root}/004.jpg"), "0 new, 0 changed, 1 gone"),
        (lambda: Storage().delete(f"{root}/029.jpg"), "0 new, 0 changed, 1 gone"),
        (lambda: Storage().write(f"{root}/013.txt", b"caption"), "0 new, 1 changed, 0 gone"),
    ):
        act()
        said, _ = round_of(far)
        assert len(said) == 1 and said[0].startswith(told)
        far.inventory()
        assert round_of(far)[0] == []


def test_growth_at_the_end_is_seen_by_every_look(far: Dataset) -> None:
    Storage().write(f"{far.declaration.root}/zzz.jpg", b"new")
    said, looks = round_of(far)
    assert len(said) == looks


def test_before_the_first_inventory_everything_is_new(make_dataset: Callable[..., Dataset], far: Dataset) -> None:
    fresh = make_dataset(far.declaration.root, name="fresh")  # type: ignore[arg-type]
    said, _ = round_of(fresh)
    assert said and "changed" in said[0] and not said[0].startswith("0 new")


def test_a_look_asks_for_few_pages_however_many_objects(far: Dataset, swift: Swift) -> None:
    with FaultProxy(swift.endpoint, Faults()) as proxy:
        storage = Storage(s3=S3Settings(endpoint=proxy.endpoint))
        found = s3_prefix.look(storage, far.resources.tables, far.declaration, "")
        assert found.after and proxy.requests <= 4  # two pages, one ahead, and the end
