"""The contract: each broken rule is named, in every layout; names of any kind arrive safely."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from arot_assets.exports.contract import inspect
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layout import Sample
from arot_assets.exports.layouts.layouts import LAYOUTS
from arot_assets.exports.prepare import prepare
from arot_assets.exports.rules import RULES, one_line
from arot_assets.exports.tree import Tree
from tests.conftest import DATA, EXAMPLES
from tests.tiers import draws

DECLARATION = ExportDeclaration(name="e", subset="s")
PICTURE = next((EXAMPLES / "photo" / "sea").glob("*.jpg"))


def jpeg(**options: object) -> bytes:
    """A small clean picture, or one with a fault."""
    buffer = io.BytesIO()
    Image.new("RGB", (128, 96), "teal").save(buffer, "JPEG", **options)
    return buffer.getvalue()


def png(mode: str, size: tuple[int, int] = (128, 96)) -> bytes:
    """A PNG of a mode."""
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def write(folder: Path, layout: str, media: dict[str, bytes], captions: dict[str, str]) -> Path:
    """A version with these media and captions."""
    (folder / "images").mkdir(parents=True)
    for name, data in media.items():
        (folder / "images" / name).write_bytes(data)
    samples = [Sample(n.rpartition(".")[0], "s", f"images/{n}", captions[n], 128, 96, 1, {}) for n in media]
    LAYOUTS[layout].write(folder, str(folder), {"images": samples}, DECLARATION)
    return folder


def broken(folder: Path, layout: str) -> set[tuple[str, str]]:
    """Rules that are broken, with the file."""
    return {
        (v.rule, v.subject) for _, found in inspect(Tree(folder), LAYOUTS[layout], ["images"], "image") for v in found
    }


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


FAULTS: dict[str, tuple[bytes, str]] = {
    "alpha": (png("RGBA"), "png"),
    "small_side": (png("RGB", (31, 200)), "png"),
    "orientation": (jpeg(exif=exif(6)), "jpg"),
    "metadata": (jpeg(comment=b"prompt"), "jpg"),
    "unreadable": (b"no picture", "jpg"),
    "format": (png("P"), "png"),
}


@pytest.mark.parametrize("layout", [n for n in LAYOUTS if n != "ltx"])
def test_every_broken_rule_of_a_file_is_named_in_every_layout(tmp_path: Path, layout: str) -> None:
    media = {"good.jpg": jpeg()} | {f"{rule.replace('_', '-')}.{end}": data for rule, (data, end) in FAULTS.items()}
    folder = write(tmp_path / "v", layout, media, dict.fromkeys(media, "a caption"))
    found = broken(folder, layout)
    assert {r for r, _ in found} == set(FAULTS)
    for rule, (_, end) in FAULTS.items():
        assert (rule, f"images/{rule.replace('_', '-')}.{end}") in found


CAPTIONS: dict[str, bytes | None] = {
    "caption_missing": None,
    "caption_lines": b"one\n",
    "caption_encoding": b"caf\xe9",
}


@pytest.mark.parametrize("rule", CAPTIONS)
def test_every_broken_rule_of_a_caption_file_is_named(tmp_path: Path, rule: str) -> None:
    folder = write(
        tmp_path / "v", "pairs", {"a.jpg": jpeg(), "b.jpg": jpeg()}, dict.fromkeys(("a.jpg", "b.jpg"), "fine")
    )
    text, data = folder / "images" / "a.txt", CAPTIONS[rule]
    text.unlink() if data is None else text.write_bytes(data)
    assert broken(folder, "pairs") == {(rule, "images/a.jpg")}


@pytest.mark.parametrize(
    "layout, edit, rule",
    [
        ("hf", lambda f: _rewrite(f / "metadata.jsonl", text=""), "caption_missing"),
        ("ltx", lambda f: _rewrite(f / "dataset.jsonl", video="gone.mp4"), "missing_file"),
        ("kohya_jsonl", lambda f: _rewrite(f / "images.jsonl", caption="two\nlines"), "caption_lines"),
        ("musubi_jsonl", lambda f: (f / "images" / "a.jpg").unlink(), "missing_file"),
        ("diffusion_pipe_json", lambda f: (f / "images" / "captions.json").write_text("{}"), "caption_missing"),
        ("simpletuner_parquet", lambda f: (f / "images" / "a.jpg").unlink(), "missing_file"),
    ],
)
def test_every_index_that_disagrees_with_its_files_is_named(
    tmp_path: Path, layout: str, edit: Callable[[Path], object], rule: str
) -> None:
    folder = write(tmp_path / "v", layout, {"a.jpg": jpeg()}, {"a.jpg": "fine"})
    assert broken(folder, layout) == set() or layout == "ltx"
    edit(folder)
    assert rule in {r for r, _ in broken(folder, layout)}


def _rewrite(path: Path, **values: str) -> None:
    rows = [json.loads(line) | values for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def test_names_that_confuse_loaders_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "v", "pairs", {"a.jpg": jpeg()}, {"a.jpg": "fine"})
    for name in ("a.png", "B c.jpg", "new\nline.jpg"):
        shutil.copyfile(folder / "images" / "a.jpg", folder / "images" / name)
        (folder / "images" / (name.rpartition(".")[0] + ".txt")).write_text("fine")
    found = broken(folder, "pairs")
    assert {
        ("stem", "images/a.jpg"),
        ("stem", "images/a.png"),
        ("name", "images/B c.jpg"),
        ("name", "images/new\nline.jpg"),
    } <= found


def test_every_rule_says_what_must_hold_and_what_happens_otherwise() -> None:
    assert all(rule.says and rule.otherwise for rule in RULES.values())


@pytest.mark.parametrize("path", sorted((DATA / "faults").iterdir()), ids=lambda p: p.name)
def test_whatever_can_be_decoded_becomes_a_file_without_faults(path: Path, tmp_path: Path) -> None:
    from arot_assets.exports.prepare import faults_of
    from arot_assets.media.file import DecodeError

    data = path.read_bytes() if path.is_file() else b""
    try:
        made = prepare(data, DECLARATION)
    except DecodeError:
        return
    found = faults_of(made.data or data)
    assert found.rules == () and (found.width, found.height) == (made.width, made.height)
    with Image.open(io.BytesIO(made.data or data)) as picture:
        picture.load()
        assert picture.mode in ("RGB", "L") and not picture.getexif()


def test_dropping_metadata_changes_no_pixel() -> None:
    buffer = io.BytesIO()
    with Image.open(PICTURE) as picture:
        picture.save(buffer, "JPEG", exif=exif(1), comment=b"secret place")
    made = prepare(buffer.getvalue(), DECLARATION)
    assert made.data is not None and b"secret" not in made.data
    with Image.open(io.BytesIO(made.data)) as one, Image.open(buffer) as other:
        assert one.tobytes() == other.tobytes()


HOSTILE = st.text(min_size=1, max_size=40).filter(lambda t: "/" not in t and "\0" not in t and t not in (".", ".."))


@settings(max_examples=draws(200), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(HOSTILE, min_size=1, max_size=3, unique=True))
def test_captions_are_one_line_and_stay_apart(texts: list[str]) -> None:
    lines = [one_line(t) for t in texts]
    assert all("\n" not in line and "\r" not in line and line == line.strip() for line in lines)
