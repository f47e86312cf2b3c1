"""An export on disk: what trainers get, what is written again, and what survives."""

import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from arot_assets.datasets.forgotten import add_forgotten
from arot_assets.exports import build
from arot_assets.exports.errors import ExportError
from arot_assets.exports.takedown import affected
from arot_assets.exports.verify import verify
from arot_assets.exports.versions import compare, current_receipt, read_manifest, versions
from arot_assets.takedown import find_meant, forget
from tests.conftest import Dataset
from tests.exports.training import SUBSET, Training, place, tree


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """The subset ``chosen`` of twelve photos."""
    dataset.run()
    return Training(dataset, tmp_path / "project")


@pytest.fixture
def bare(dataset: Dataset, tmp_path: Path) -> Training:
    """The same, of photos without metadata."""
    for photo in dataset.source.rglob("*.jpg"):
        with Image.open(photo) as picture:
            pixels = Image.fromarray(np.asarray(picture.convert("RGB")))
        pixels.save(photo, quality=90)
    dataset.run()
    return Training(dataset, tmp_path / "project")


def test_each_sample_arrives_with_its_own_caption(training: Training) -> None:
    done = training.export()
    folder, rows = place(done), training.rows()
    assert done.seen is not None and done.seen.whole and str(done.seen) == "12 of 12"
    images = {p.stem: p for p in (folder / "images").glob("*.jpg")}
    assert set(images) == set(rows)
    for sample, path in images.items():
        assert path.with_suffix(".txt").read_text() == rows[sample][1]
        with Image.open(path) as picture, Image.open(rows[sample][0]) as original:
            assert picture.size == original.size and not picture.getexif() and "icc_profile" not in picture.info
    assert {p.name for p in (folder / "configs").iterdir()} == {
        "kohya.toml", "musubi.toml", "diffusion_pipe.toml", "ai_toolkit.yaml", "onetrainer_concepts.json",
        "simpletuner_multidatabackend.json", "finetrainers.json", "commands.md",
    }  # fmt: skip


def test_unchanged_writes_nothing(training: Training) -> None:
    first = training.export()
    before = {p: p.stat().st_mtime_ns for p in place(first).parent.rglob("*")}
    again = training.export()
    assert not again.changed and again.receipt == first.receipt
    assert {p: p.stat().st_mtime_ns for p in place(first).parent.rglob("*")} == before


def test_only_what_changed_is_made_again_and_the_difference_is_told(training: Training) -> None:
    first = training.export(format="png", max_side=300)
    training.select(
        SUBSET.replace("'a photo of '", "'a picture of '").replace("= 'ok'", "= 'ok' and uri not like '%sea%'")
    )
    second = training.export(format="png", max_side=300)
    old, new = place(first), place(second)
    assert second.changed and old.is_dir() and new != old
    kept = [p.name for p in (new / "images").glob("*.png")]
    assert kept and all(os.path.samefile(old / "images" / n, new / "images" / n) for n in kept)
    tables = training.resources.tables
    change = compare(tables, "train", first.receipt.version, second.receipt.version)
    assert not change.added and not change.rewritten
    assert len(change.removed) == 12 - len(kept) and all("picture" in after for _, _, after in change.recaptioned)
    assert any("sql" in line for line in change.why)


def test_a_killed_export_leaves_the_version_before_whole(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    first = training.export()
    before = tree(place(first))
    training.select(SUBSET.replace("= 'ok'", "= 'ok' and width > 0"))
    monkeypatch.setattr("arot_assets.exports.layouts.pairs.write", _full)
    with pytest.raises(ExportError, match="No space left"):
        training.export(quality=90)
    assert tree(place(first)) == before and current_receipt(training.resources.tables, "train") == first.receipt
    assert [p.name for p in place(first).parent.iterdir() if p.name.startswith(".arot-tmp-") and p.is_dir()] == []
    monkeypatch.undo()
    assert training.export(quality=90).changed


def _full(*_args: object) -> None:
    raise OSError(28, "No space left on device")


def test_two_exports_to_one_place_do_not_mix(training: Training) -> None:
    from arot_assets.exports.destinations.folder import FolderDestination

    first = training.export()
    other = FolderDestination(str(place(first).parent))
    other.staging()
    with pytest.raises(ExportError, match="another process"):
        training.export(quality=80)
    other.close()
    assert training.export(quality=80).changed


def test_a_missing_caption_is_refused_by_name_or_left_out_as_declared(training: Training) -> None:
    rows = training.rows()
    victim = sorted(rows)[3]
    training.select(
        SUBSET.replace("coalesce(", f"case when samples.sample_id <> '{victim}' then coalesce(").replace(
            " as caption", " end as caption"
        )
    )
    with pytest.raises(ExportError, match=f"caption_missing.*{victim}"):
        training.export()
    done = training.export(rules={"caption_missing": "skip"})
    assert done.receipt.samples == 11 and [v.subject for v in done.left_out] == [victim]


def test_lines_of_a_caption_are_joined_and_noted(training: Training) -> None:
    training.select(
        SUBSET.replace("'a photo of '", "E'a\\nphoto of '")
        .replace("coalesce(samples.caption, ", "(")
        .replace("samples.caption", "caption")
    )
    done = training.export()
    assert done.receipt.noted["caption_lines"] == 12
    assert all(
        c.startswith("a photo of ")
        for c in read_manifest(training.resources.tables, "train", done.receipt.version)["caption"].to_pylist()
    )


def test_exact_sizes_are_those_that_no_trainer_changes(training: Training) -> None:
    done = training.export(media="exact", resolution=512)
    assert all(
        set(p.columns["scale"].to_pylist()) == {1.0} and set(p.columns["crop"].to_pylist()) == {0.0}
        for n, p in done.plans.items()
    )
    assert len(done.plans) == 7
    for path in (place(done) / "images").glob("*.jpg"):
        with Image.open(path) as picture:
            assert picture.size in {
                (512, 512),
                (576, 448),
                (448, 576),
                (960, 256),
                (256, 960),
                (1024, 256),
                (256, 1024),
            }


@pytest.mark.parametrize(
    "layout", ["hf", "kohya_jsonl", "musubi_jsonl", "simpletuner_parquet", "diffusion_pipe_json", "webdataset"]
)
def test_every_layout_is_read_back_whole(training: Training, layout: str) -> None:
    done = training.export(layout=layout, columns=["size"])
    assert done.seen is not None and done.seen.whole and done.seen.found == 12


def test_mixed_subsets_have_folders_and_repeats(training: Training) -> None:
    training.select(SUBSET.replace("= 'ok'", "= 'ok' and uri like '%sea%'"), "seas")
    done = training.export(mix={"seas": 3})
    concepts = json.loads((place(done) / "configs" / "onetrainer_concepts.json").read_text())
    assert [(c["name"], c["balancing"]) for c in concepts] == [("chosen", 1.0), ("seas", 3.0)]
    assert len(list(Path(concepts[1]["path"]).glob("*.jpg"))) == 4


def test_shares_become_repeats_of_every_configuration(training: Training) -> None:
    training.select(SUBSET.replace("= 'ok'", "= 'ok' and uri like '%sea%'"), "seas")
    done = training.export(mix={"seas": 0.5})
    configs = place(done) / "configs"
    kohya = tomllib.loads((configs / "kohya.toml").read_text())["datasets"][0]["subsets"]
    assert [s["num_repeats"] for s in kohya] == [1, 3]  # twelve, and four of them
    simpletuner = json.loads((configs / "simpletuner_multidatabackend.json").read_text())
    assert [b["repeats"] for b in simpletuner if "repeats" in b] == [0, 2]
    assert not (configs / "finetrainers.json").exists()  # it has no repeats
    assert [(r["subset"], r["repeats"], r["of an epoch"]) for r in done.mix] == [
        ("chosen", 1, "50.0%"),
        ("seas", 3, "50.0%"),
    ]
    assert sum(b.samples for b in done.plans["sd-scripts"].buckets) == 24


def test_a_trainer_without_repeats_is_refused_by_name_if_subsets_are_weighted(training: Training) -> None:
    training.select(SUBSET.replace("= 'ok'", "= 'ok' and uri like '%sea%'"), "seas")
    for mix in ({"seas": 0.5}, {"seas": 2}):
        with pytest.raises(ExportError, match="finetrainers has no repeats"):
            training.export(mix=mix, trainers=["finetrainers"])
    assert training.export(mix={"seas": 1}, trainers=["finetrainers"]).receipt.samples == 16


def test_an_export_to_another_folder_keeps_its_records_in_the_store(training: Training, tmp_path: Path) -> None:
    done = training.export(destination=str(tmp_path / "elsewhere"), trainer_root="/data")
    assert place(done).parent == tmp_path / "elsewhere" / "train"
    assert "/data/images" in (place(done) / "configs" / "kohya.toml").read_text()
    assert [r.version for r in versions(training.resources.tables, "train")] == [done.receipt.version]


def test_a_place_that_cannot_be_written_is_named(training: Training, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        training.export(destination=str(tmp_path / "file"))


HOSTILE = ["\N{GRINNING FACE} party.jpg", "..jpg", "a b.jpg", "it's \"quoted\".jpg", "A.jpg", "a.JPG", "new\nline.jpg", "-rf.jpg", "%2e%2e.jpg", "x" * 251 + ".jpg", "\N{LATIN SMALL LETTER E WITH ACUTE}.jpg", "e\N{COMBINING ACUTE ACCENT}.jpg"]  # fmt: skip


def test_a_thousand_hostile_names_arrive_with_their_own_captions(
    make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    source = tmp_path / "hostile"
    source.mkdir()
    names = [*HOSTILE, *(f"{chr(0x4E00 + n)} {n} \N{SNOWMAN}.jpg" for n in range(1000 - len(HOSTILE)))]
    for n, name in enumerate(names):
        Image.new("RGB", (64, 64), (n % 256, n // 256, 77)).save(source / name, "JPEG")
        (source / name).with_suffix(".txt").write_text(f"caption of {n}")
    dataset = make_dataset(source, shard_size=1000)
    dataset.run()
    done = Training(dataset, tmp_path / "project").export(media="original")
    assert (
        done.receipt.samples == len({p.read_bytes() for p in source.glob("*.[jJ]*")})
        and done.seen is not None
        and done.seen.whole
    )
    captions = {(p.read_bytes(), p.with_suffix(".txt").read_text()) for p in (place(done) / "images").glob("*.jpg")}
    wanted = {p.read_bytes(): p.with_suffix(".txt").read_text() for p in source.glob("*.[jJ]*")}
    assert all(re.fullmatch(r"[0-9a-f]{32}\.jpg", p.name) for p in (place(done) / "images").glob("*.jpg"))
    assert all(wanted[data] == caption or data in wanted for data, caption in captions)


def test_a_forgotten_sample_leaves_every_version_and_stays_out(training: Training) -> None:
    first = training.export()
    second = training.export(quality=80, max_side=200)
    victim = sorted(training.rows())[0]
    assert [p.receipt.version for p in affected(training.resources.tables, [victim])] == [
        first.receipt.version,
        second.receipt.version,
    ]
    meant = find_meant(training.resources, [victim[:10]])
    assert list(meant.places) == [victim]
    assert forget(training.resources, meant, "asked to").left == []
    assert (
        not place(first).exists() and not place(second).exists() and versions(training.resources.tables, "train") == []
    )
    training.update()
    third = training.export()
    assert third.receipt.samples == 11 and victim not in {p.stem for p in (place(third) / "images").iterdir()}


@pytest.mark.parametrize("moment", ["write_media", "write_records"])
def test_a_sample_that_is_taken_down_while_it_is_exported_stays_out(training: Training, moment: str) -> None:
    victim, tables, real = sorted(training.rows())[0], training.resources.tables, getattr(build, moment)

    def meanwhile(*said: Any) -> Any:
        add_forgotten(tables, [victim], "asked to", "now")
        return real(*said)

    with patch.object(build, moment, meanwhile), pytest.raises(ExportError, match="1 of its samples were taken down"):
        training.export()
    assert versions(tables, "train") == [] and not list(Path(tables.root).glob(f"exports/**/*{victim}*"))
    assert training.export().receipt.samples == 11


def test_the_check_reads_the_version_back_and_names_what_was_damaged(training: Training) -> None:
    done = training.export()
    declaration, resources = training.declaration(), training.resources
    assert str(verify(declaration, resources.tables, resources.storage)) == "12 of 12"
    caption = sorted((place(done) / "images").glob("*.txt"))[0]
    caption.unlink()
    seen = verify(declaration, resources.tables, resources.storage)
    assert str(seen) == "11 of 12" and seen.violations[0].subject == f"images/{caption.stem}.jpg"


def test_an_original_that_is_known_to_be_plain_is_linked_without_a_look_while_it_is_the_file_that_was_listed(
    bare: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = sorted(bare.dataset.source.rglob("*.jpg"))[0]
    known = os.stat(changed)
    changed.write_bytes(changed.read_bytes()[::-1])
    looked_at: list[bytes] = []
    monkeypatch.setattr("arot_assets.exports.media_files.prepare", lambda data, *rest: looked_at.append(data))
    with pytest.raises(ExportError, match="has changed since it was listed"):  # as many bytes, at another time
        bare.export(rules={"unreadable": "stop"})
    assert looked_at == []
    changed.write_bytes(changed.read_bytes()[::-1])
    os.utime(changed, ns=(known.st_atime_ns, known.st_mtime_ns))
    done = bare.export(rules={"unreadable": "stop"})
    assert looked_at == [] and done.seen is not None and str(done.seen) == "12 of 12"
    for sample, (uri, _) in bare.rows().items():
        assert os.path.samefile(uri, place(done) / "images" / f"{sample}.jpg")


def test_what_is_transparent_shows_the_declared_background(training: Training) -> None:
    pixels = np.full((80, 90, 4), 255, np.uint8)
    pixels[:40, :, 3], pixels[40:, :45, 3] = 0, 128
    Image.fromarray(pixels).save(training.dataset.source / "sign.png")
    training.update()
    sign = training.dataset.sql("select sample_id from d.samples where uri like '%sign.png'")[0][0]
    white = training.export(format="png")
    green = training.export(format="png", background="#20c040")
    assert green.receipt.version != white.receipt.version
    with Image.open(place(green) / "images" / f"{sign}.png") as picture:
        shown = np.asarray(picture)
    assert shown.shape == (80, 90, 3) and {tuple(p) for p in shown[:40].reshape(-1, 3).tolist()} == {(0x20, 0xC0, 0x40)}
    assert np.abs(shown[60, 10].astype(int) - [144, 224, 160]).max() <= 1 and shown[60, 80].tolist() == [255, 255, 255]
    with Image.open(place(white) / "images" / f"{sign}.png") as picture:
        assert (np.asarray(picture) == 255).all()


def test_an_original_that_does_not_arrive_as_it_was_chosen_is_named(
    bare: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link_another(source: Path, target: str) -> None:
        shutil.copyfile(source, target)
        Path(target).write_bytes(Path(target).read_bytes()[:-9] + bytes(9))
        os.utime(target, ns=(os.stat(source).st_atime_ns, os.stat(source).st_mtime_ns))

    monkeypatch.setattr(os, "link", link_another)
    with pytest.raises(ExportError, match=r"0 of 12.*its bytes are not those that were chosen"):
        bare.export()


def test_no_file_of_an_export_holds_where_the_originals_are(training: Training) -> None:
    further = """samples.uri as address, map {'a': [samples.uri]} as deep, [samples.uri]::varchar[1] as fixed,
        to_json({'b': samples.uri}) as document"""
    training.select(SUBSET.replace("as caption", f"|| ' at ' || samples.uri as caption, {further}"))
    done = training.export(layout="hf", columns=["address", "deep", "fixed", "document"], trainer_root="/data/train")
    source = str(training.dataset.source)
    texts = {name: data for name, data in tree(place(done)).items() if not name.startswith("images/")}
    assert [n for n, data in texts.items() if source.encode() in data] == []
    shown = {json.loads(line)["address"] for line in texts["metadata.jsonl"].splitlines()}
    assert shown == {os.path.relpath(uri, source) for uri, _ in training.rows().values()}
    manifest = read_manifest(training.resources.tables, "train", done.receipt.version)
    assert set(manifest["uri"].to_pylist()) == shown
