"""What a listing makes of names, and of files that move while it looks."""

import os
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.datasets.listing import list_source
from arot_assets.datasets.objects import LISTED, extensions
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


def test_links_that_lead_nowhere_are_rows_that_say_so(dataset: Dataset) -> None:
    """As git-annex, DVC and caches leave them, when what they stand for was not fetched."""
    sea = dataset.source / "sea"
    (sea / "absent.jpg").symlink_to("../.git/annex/objects/ab/absent.jpg")
    (sea / "circle.png").symlink_to("circle.png")
    (sea / "one.webp").symlink_to("two.webp")
    (sea / "two.webp").symlink_to("one.webp")
    (sea / "through.gif").symlink_to(f"{next(sea.glob('*.jpg')).name}/inside.gif")  # a file is no folder
    (sea / "good.jpg").symlink_to(next(sea.glob("*.jpg")).name)
    dataset.run()
    rows = dataset.sql(
        "select uri[len(uri) - 10:], status, reason from d.samples where regexp_matches(uri, '(absent|circle|one|two|through)[.]')"
    )
    assert len(rows) == 5 and {status for _, status, _ in rows} == {"unreadable"}
    assert all("link to '" in reason for _, _, reason in rows), rows
    assert dataset.sql("select count(*) from d.samples where uri like '%good.jpg'") == [(1,)]
    assert dataset.sql("select count(*) from d.samples") == [(18,)]
    dataset.inventory()
    assert dataset.sql("select count(*), count(distinct shard) > 1 from d.inventory") == [(18, True)], "nothing changed"


def test_link_that_was_mended_is_read_again(dataset: Dataset) -> None:
    link = dataset.source / "sea" / "late.jpg"
    link.symlink_to(dataset.source / "late" / "x.jpg")
    dataset.run()
    (dataset.source / "late").mkdir()
    (dataset.source / "late" / "x.jpg").write_bytes(next((dataset.source / "sea").glob("*1*.jpg")).read_bytes() + b" ")
    dataset.run()
    assert {s for (s,) in dataset.sql("select status from d.samples where uri like '%late%'")} == {"ok", "duplicate"}


def test_folders_behind_links_and_what_is_no_file_are_counted_and_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "more.jpg").write_bytes(b"x")
    (dataset.source / "elsewhere").symlink_to(tmp_path / "elsewhere")
    (dataset.source / "up").symlink_to("..")
    os.mkfifo(dataset.source / "pipe.jpg")
    (dataset.source / "zeros.jpg").symlink_to("/dev/zero")
    listing = list_source(Storage(), dataset.declaration)
    assert listing.objects.num_rows == 12
    assert sorted(listing.ignored.values()) == [1, 1, 2]
    told = "\n".join(listing.problems)
    assert all(name in told for name in ("source/elsewhere", "source/up", "pipe.jpg", "zeros.jpg"))


def test_source_without_sidecars_has_the_same_columns(dataset: Dataset, tmp_path: Path) -> None:
    for file in dataset.source.rglob("*.json"):
        file.unlink()
    found = list_source(Storage(), dataset.declaration).objects
    assert found.schema.equals(LISTED, check_metadata=True)
    assert found["sidecars"].to_pylist() == [[]] * 12
    assert found["sidecar_mtime"].null_count == 12
