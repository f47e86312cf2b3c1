"""A medium is a plug: what works on images works on another medium that is declared, and changes nothing in the rooms."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Pillow

from arot_assets.datasets import places
from arot_assets.datasets.places import place_of
from arot_assets.datasets.report import sample_sheet
from arot_assets.datasets.samples import samples_schema
from arot_assets.media.file import DecodeError, File, Limits
from arot_assets.media.image.medium import IMAGE
from arot_assets.media.image.view import Image
from arot_assets.media.media import MEDIA
from arot_assets.media.wants import STILL, Want
from arot_assets.metrics.build import build_metrics
from arot_assets.metrics.registry import get_metric
from resources.defaults import Resources
from resources.tables import TableRef
from tests.conftest import DATA, EXAMPLES
from tests.media.flipbooks import FLIPBOOKS, Books, FlipbookView, make_animations
from tests.servers.http import Reply, WebServer


@pytest.fixture
def animations(tmp_path: Path) -> Path:
    """See ``make_animations``."""
    return make_animations(tmp_path / "books")


def test_another_medium_plugs_in_without_a_change_of_the_rooms(
    resources: Resources, animations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MEDIA", {**MEDIA, "flipbook": FLIPBOOKS})
    books = Books(resources, str(animations))
    rows = {Path(str(row["uri"])).name: row for row in books.run("phash")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.gif": "ok",
        "b.gif": "ok",
        "broken.flip": "corrupt",
    }
    assert rows["a.gif"]["frames"] == 5 and rows["a.gif"]["caption"] == "a walk through five places"
    assert rows["a.gif"]["bytes"] == (animations / "a.gif").stat().st_size
    assert rows["a.gif"]["notes"] == ["flip"] and rows["a.gif"]["generation"] == '{"tool": "pencil"}'
    assert "icc_profile" not in rows["a.gif"]
    measured = {row["sample_id"]: row for row in books.rows("phash")}
    with Pillow.open(animations / "a.gif") as book:
        book.seek(2)
        expected = get_metric("phash").compute(Image(np.asarray(book.convert("RGB"))))  # type: ignore[misc]
    assert measured[rows["a.gif"]["sample_id"]]["phash"] == expected["phash"]
    footer = resources.tables.footer(TableRef("books", "inventory"))
    assert footer["medium"] == "flipbook" and ".jpg" in footer["not_taken"]
    samples = resources.tables.read(TableRef("books", "samples", "00000"))
    sheet = sample_sheet(place_of(resources.storage, resources.warehouse, "books"), samples)
    assert sheet is not None


def test_paths_are_proven_to_hold_the_bytes_that_were_listed(resources: Resources, animations: Path) -> None:
    books = Books(resources, str(animations))
    books.run()
    copy, other = animations / "a.gif", animations / "b.gif"
    shutil.copyfile(other, copy)
    declaration, r = books.declaration, resources
    build_metrics(r.storage, r.warehouse, r.models, declaration, "00000", [get_metric("phash")])
    reasons = {str(row["reason"]) for row in books.rows("phash") if row["status"] == "failed"}
    assert len(reasons) == 1 and "has changed since it was listed" in reasons.pop()
    assert [row["status"] for row in books.rows("phash")].count("ok") == 1


def test_files_of_other_machines_are_opened_where_the_cache_keeps_them(
    resources: Resources, animations: Path, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    uris = [web.serve(f"/{name}", Reply(body=(animations / name).read_bytes())) for name in ("a.gif", "b.gif")]
    (tmp_path / "list.txt").write_text("\n".join(uris))
    books = Books(resources, str(tmp_path / "list.txt"), urls={"allow_private": True})
    assert [(row["status"], row["frames"]) for row in books.run("phash")] == [("ok", 5)] * 2
    assert [row["status"] for row in books.rows("phash")] == ["ok"] * 2


def test_the_cost_of_a_view_is_known_before_anything_is_fetched() -> None:
    fetched: list[str] = []
    data = (EXAMPLES / "photo").rglob("*.jpg").__next__().read_bytes()

    def fetch() -> bytes:
        fetched.append("now")
        return data

    file = File("a.jpg", fetch, {"width": 640, "height": 480})
    view = IMAGE.open(file, frozenset({STILL}), Limits())
    assert view.cost == 640 * 480 * 9 and fetched == []
    with view as opened:
        (still,) = opened.stills()
        assert still.pts is None and still.image.rgb.ndim == 3
    file.read()
    assert fetched == ["now"]


def test_an_image_has_no_frames_and_holds_its_limits() -> None:
    data = (DATA / "faults" / "progressive.jpg").read_bytes()
    with (
        pytest.raises(DecodeError, match="no frames"),
        IMAGE.open(File.of("a.jpg", data), frozenset({STILL, Want("frames", fps=12)}), Limits()),
    ):
        pass
    with (
        pytest.raises(DecodeError, match="over the limit"),
        IMAGE.open(File.of("a.jpg", data), frozenset(), Limits(0.01)),
    ):
        pass
    assert IMAGE.probe(File.of("a.jpg", data), Limits(0.01)).status == "unsupported"


@pytest.mark.parametrize(("number", "reason"), [(2, "several still images"), (0, "shows no picture")])
def test_a_file_without_one_still_image_is_a_failed_row(
    resources: Resources, animations: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    real = FlipbookView.stills
    monkeypatch.setattr(FlipbookView, "stills", lambda view: iter([*real(view)] * number))
    books = Books(resources, str(animations))
    books.run("phash")
    assert [reason in str(row["reason"]) for row in books.rows("phash")] == [True, True]


def test_files_in_memory_have_no_path() -> None:
    with pytest.raises(TypeError, match="by_path"):
        File.of("a.gif", b"").path()


def test_samples_of_images_keep_their_columns() -> None:
    assert samples_schema(IMAGE).names == [
        *("sample_id", "sha256", "uri", "status", "reason", "duplicate_of", "notes", "bytes"),
        *("format", "mode", "width", "height", "n_frames", "has_alpha", "icc_profile", "pixels_only"),
        *("caption", "tags", "sidecar", "generation", "shard", "ingested_at"),
    ]
    assert samples_schema(IMAGE).field("n_frames").type == pa.int32()
