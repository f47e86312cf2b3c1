"""Which files go with which images: exactly, as file systems compare names, or not at all, which is said."""

import shutil
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from arot_assets.datasets.listing import list_source
from arot_assets.datasets.objects import UNUSED, found_table, listing_of
from arot_assets.datasets.pairing import pair, sidecar_stems, sidecars_of
from arot_assets.media.image.medium import IMAGE
from resources.storage import Storage
from resources.tables import TableRef
from tests.conftest import EXAMPLES, Dataset
from tests.resources.test_members import write_tar

MakeDataset = Callable[..., Dataset]
PICTURES = sorted((EXAMPLES / "photo").rglob("*.jpg"))
COMPOSED, DECOMPOSED = "ダム é", unicodedata.normalize("NFD", "ダム é")


def test_sidecars_are_found_by_stem_and_by_whole_name() -> None:
    stems = sidecar_stems(
        [
            "s3://x/a/b.txt",
            "s3://x/a/b.JSON",
            "s3://x/a/b.png.txt",
            "s3://x/a/b.png",
            "s3://x/a/c.txt",
            "s3://x/a.d/.txt",
            "s3://x/a.d/e",
        ]
    )
    assert stems == {
        "s3://x/a/b": {"txt": "s3://x/a/b.txt", "json": "s3://x/a/b.JSON"},
        "s3://x/a/b.png": {"txt": "s3://x/a/b.png.txt"},
        "s3://x/a/c": {"txt": "s3://x/a/c.txt"},
    }
    assert sidecars_of("s3://x/a/b.png", stems) == {"txt": "s3://x/a/b.png.txt", "json": "s3://x/a/b.JSON"}
    assert sidecars_of("s3://x/a/b.jpg", stems) == {"txt": "s3://x/a/b.txt", "json": "s3://x/a/b.JSON"}
    assert sidecars_of("s3://x/a.d/e", stems) == {}
    assert sidecars_of("s3://x/a/.png", stems) == {}


def test_of_two_sidecars_that_differ_in_case_always_the_same_is_taken() -> None:
    assert sidecar_stems(["a.txt", "a.TXT"]) == sidecar_stems(["a.TXT", "a.txt"]) == {"a": {"txt": "a.TXT"}}
    assert pair(["a.png"], ["a.txt", "a.TXT"]).unused == ["a.txt"]


@pytest.mark.parametrize(
    ("images", "sidecars", "paired"),
    [
        ([f"s/{COMPOSED}.png"], [f"s/{DECOMPOSED}.txt"], True),
        ([f"s/{DECOMPOSED}.png"], [f"s/{COMPOSED}.txt"], True),
        ([f"s/{DECOMPOSED}.png"], [f"s/{COMPOSED}.png.caption"], True),
        ([f"{DECOMPOSED}/a.png"], [f"{COMPOSED}/a.txt"], True),
        (["s/C.JPG"], ["s/c.txt"], True),
        (["s/c.jpg"], ["s/C.jpg.TXT"], True),
        ([f"s/{DECOMPOSED.upper()}.png"], [f"s/{COMPOSED}.json"], True),
        (["t.tar!/é.left.png", "t.tar!/é.right.png"], [f"t.tar!/{unicodedata.normalize('NFD', 'é')}.txt"], True),
        (["S/a.jpg"], ["s/a.txt"], False),  # two folders
        (["s/b.png"], ["s/b .txt"], False),
        (["s/f.png"], ["s/captions/f.txt"], True),
        (["s/images/f.png"], ["s/captions/f.txt"], True),
        (["s/images/train/f.png"], ["s/texts/train/f_caption.txt"], True),
        (["t.tar!/images/f.png"], ["t.tar!/json/f.json"], True),
        (["s/masks/f.png"], ["s/captions/f.txt"], False),
        (["s/train/f.png"], ["s/captions/val/f.txt"], False),
        (["s/f.png"], ["s/labels/f.txt"], False),  # boxes
        (["s/e.jpeg"], ["s/e.jpg.txt"], True),
        (["s/e.webp"], ["s/E.PNG.caption.txt"], True),
        (["s/e.webp", "s/e.png"], ["s/e.jpg.txt"], False),  # of which?
        (["s/e.jpeg"], ["s/e.v2.txt"], False),
        (["s/g.png"], ["s/g_caption.txt"], True),
        (["s/g.png"], ["s/g.png.caption.txt"], True),
        (["s/g.png"], ["s/captions.json"], False),
        (["s/caption.png"], ["s/captions/caption.txt"], True),
    ],
)
def test_names_are_compared_as_file_systems_do_and_tools_write(
    images: list[str], sidecars: list[str], paired: bool
) -> None:
    found = pair(images, sidecars, IMAGE.extensions)
    assert found.unused == ([] if paired else sidecars)
    assert found.sidecars == [sidecars if paired else []] * len(images)


def test_what_fits_exactly_goes_before_what_fits_nearly() -> None:
    found = pair(["C.png", "c.jpg"], ["c.txt", "C.TXT"])
    assert found.sidecars == [["C.TXT"], ["c.txt"]] and not found.unused
    found = pair(["C.JPG", "c.png"], ["C.TXT"])
    assert found.sidecars == [["C.TXT"], []]
    found = pair(["C.png"], ["C.txt", "c.txt", "c.json"])
    assert found.sidecars == [["C.txt", "c.json"]] and found.unused == ["c.txt"]


def test_sidecar_that_two_images_could_have_is_of_none() -> None:
    found = pair(["Ab.png", "aB.png"], ["ab.txt"])
    assert found.sidecars == [[], []] and found.unused == ["ab.txt"]
    found = pair(["AB.png"], ["Ab.txt", "aB.txt"])
    assert found.sidecars == [[]] and found.unused == ["Ab.txt", "aB.txt"]
    found = pair(["images/a.png", "photos/a.png"], ["captions/a.txt"])
    assert found.sidecars == [[], []] and found.unused == ["captions/a.txt"]
    found = pair(["a.png"], ["captions/a.txt", "tags/a.txt"])
    assert found.sidecars == [[]] and found.unused == ["captions/a.txt", "tags/a.txt"]


def test_what_lies_beside_goes_before_what_lies_in_a_folder_of_captions() -> None:
    found = pair(["a.png", "b.png"], ["a.txt", "captions/a.txt", "captions/a.json", "b_caption.txt", "captions/b.txt"])
    assert found.sidecars == [["a.txt", "captions/a.json"], ["b_caption.txt"]]
    assert found.unused == ["captions/a.txt", "captions/b.txt"]


def test_shorter_name_that_the_longer_one_supersedes_is_told() -> None:
    found = pair(["a.png"], ["a.png.txt", "a.txt"])
    assert found.sidecars == [["a.png.txt"]] and found.unused == ["a.txt"]
    found = pair(["A.PNG"], ["a.png.txt", "a.txt"])
    assert found.sidecars == [["a.png.txt"]] and found.unused == ["a.txt"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images with texts, of which some belong to none."""
    made = tmp_path / "pictures"
    for name in ("captions", "labels"):
        (made / name).mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "C.JPG", f"{DECOMPOSED}.jpg", "e.jpeg", "f.jpg", "g.jpg")):
        shutil.copyfile(PICTURES[number], made / name)
    for name in ("a", "c", COMPOSED, "e.jpg", "captions/f", "g_caption", "labels/f", "g.v2", "b "):
        (made / f"{name}.txt").write_text(f"written in {name}.txt")
    (made / "captions.json").write_text("{}")
    return made


def test_sidecars_of_no_image_are_counted_and_named(make_dataset: MakeDataset, folder: Path) -> None:
    dataset = make_dataset(folder)
    dataset.run()
    captions = dataset.sql("select caption from d.samples where caption is not null order by 1")
    written = sorted(f"written in {name}.txt" for name in ("a", "c", COMPOSED, "e.jpg", "captions/f", "g_caption"))
    assert captions == [(text,) for text in written]
    footer = dataset.resources.tables.footer(TableRef("d", "inventory"))
    assert f"4 x {UNUSED}" in footer["not_taken"]
    for name in ("labels/f.txt", "g.v2.txt", "b .txt", "captions.json"):
        assert name in footer["problems"]


def test_of_very_many_the_first_are_named(make_dataset: MakeDataset, folder: Path) -> None:
    for number in range(2000):
        (folder / f"no image {number:04}.txt").write_text("x")
    listing = list_source(Storage(), make_dataset(folder).declaration)
    assert listing.ignored[UNUSED] == 2004
    (told,) = listing.problems
    assert told.startswith("2,004 x ") and told.endswith(" and 1,994 more") and len(told) < 2000


def test_sidecar_that_comes_changes_or_leaves_costs_its_row_alone(make_dataset: MakeDataset, folder: Path) -> None:
    dataset = make_dataset(folder)
    dataset.run()
    for step, text in (("come", "first"), ("grow", "first and second"), ("shrink", "x"), ("leave", None)):
        if text is None:
            (folder / "f.txt").unlink()
        else:
            (folder / "f.txt").write_text(text)
        plan = dataset.inventory()
        assert (plan.new, plan.changed, plan.gone) == (0, 1, 0), step
        assert sum(dataset.samples().values()) == 1
        rows = dataset.sql(
            "select caption from d.samples semi join d.inventory using (uri, shard) where uri like '%/f.jpg'"
        )
        assert rows[-1] == (text or "written in captions/f.txt",)
        time.sleep(0.01)
    assert not dataset.inventory().differs


def test_members_of_an_archive_are_told_too_and_again(make_dataset: MakeDataset, tmp_path: Path) -> None:
    folder = tmp_path / "tars"
    folder.mkdir()
    data = [p.read_bytes() for p in PICTURES]
    write_tar(folder / "a.tar", {"1.jpg": data[0], "1.txt": b"one", "2.txt": b"of no image", "note.md": b"x"})
    shutil.copyfile(PICTURES[1], folder / "loose.jpg")
    (folder / "lost.json").write_text("{}")
    dataset = make_dataset(folder, archives={})
    for _ in range(2):  # the second time the archive is not opened
        dataset.inventory()
        footer = dataset.resources.tables.footer(TableRef("d", "inventory"))
        assert f"2 x {UNUSED}" in footer["not_taken"] and ".md" in footer["not_taken"]
        assert "a.tar!/2.txt" in footer["problems"] and "lost.json" in footer["problems"]


def test_text_beside_a_file_that_still_grows_is_not_of_no_image(folder: Path) -> None:
    found = found_table(Storage().ls_columns(str(folder)))
    listing = listing_of(found, IMAGE, [str(folder / "a.jpg")])
    assert listing.objects.num_rows == 5 and listing.ignored[UNUSED] == 4
