"""What a listing makes of names, and of files that move while it looks."""

import os
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.datasets.listing import LISTED, extensions, list_source
from resources.storage import Storage
from tests.conftest import Dataset

NAMES = st.text(st.sampled_from("aB.é 画\n-"), max_size=8)


@settings(deadline=None)
@given(st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), min_size=1, max_size=20))
def test_extensions_are_those_of_python(uris: list[str]) -> None:
    expected = [os.path.splitext(uri)[1].lower() for uri in uris]
    assert extensions(pa.chunked_array([uris], pa.string())).to_pylist() == expected


def test_name_that_is_not_utf8_is_one_row_that_says_so(dataset: Dataset) -> None:
    picture = next(dataset.source.rglob("*.jpg"))
    with open(os.fsencode(picture.parent) + b"/caf\xe9.jpg", "wb") as file:
        file.write(picture.read_bytes())
    dataset.inventory()
    dataset.samples()
    rows = dataset.sql("select status, reason from d.samples where uri like '%caf%'")
    assert [status for status, _ in rows] == ["unreadable"]
    assert r"caf\xe9.jpg" in rows[0][1]
    assert dataset.sql("select count(*) from d.samples") == [(13,)]


def test_file_deleted_while_its_folder_is_read_is_not_there(dataset: Dataset, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    real = os.scandir

    def scandir(folder: int):  # type: ignore[no-untyped-def]
        found = list(real(folder))
        (dataset.source / "city" / "short-lived.jpg").unlink(missing_ok=True)

        class Entries(list):  # type: ignore[type-arg]
            def __enter__(self) -> "Entries":
                return self

            def __exit__(self, *_: object) -> None:
                pass

        return Entries(found)

    (dataset.source / "city" / "short-lived.jpg").write_bytes(b"x")
    monkeypatch.setattr(os, "scandir", scandir)
    uris = list_source(Storage(), dataset.declaration).objects["uri"].to_pylist()
    assert len(uris) == 12
    assert not [uri for uri in uris if "short-lived" in uri]


def test_source_without_sidecars_has_the_same_columns(dataset: Dataset, tmp_path: Path) -> None:
    for file in dataset.source.rglob("*.json"):
        file.unlink()
    found = list_source(Storage(), dataset.declaration).objects
    assert found.schema.equals(LISTED, check_metadata=True)
    assert found["sidecars"].to_pylist() == [[]] * 12
    assert found["sidecar_mtime"].null_count == 12
