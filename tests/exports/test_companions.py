"""Masks and controls: each beside its own sample, scaled and cropped as it is, in every layout that has a place for them."""

import json
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from arot_assets.exports.destinations.remote import RemoteStage
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layouts import LAYOUTS
from arot_assets.exports.tree import Tree
from arot_assets.exports.verify import verify
from arot_assets.exports.versions import read_manifest
from resources.compute import Local
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.conftest import Dataset
from tests.engines import Scattered
from tests.exports.test_destinations import objects
from tests.exports.training import Training, files_of, place
from tests.servers.swift import Swift

SUBSET = """{{ config(tags=['subset']) }}
with files as (select sample_id, uri, parse_filename(uri, true) as stem from {{ source('d', 'samples') }} where status = 'ok')
select p.sample_id, p.uri, 'picture ' || p.stem as caption, m.sample_id as covered, g.sample_id as guide,
    k.sample_id as picked
from files p left join files m on m.uri like '%/masks/%' and m.stem = p.stem
left join files k on k.uri like '%/sketches/%' and k.stem = p.stem
left join files g on g.uri like '%/guides/%' and g.stem = p.stem where p.uri like '%/pictures/%'
"""
SIZES = [(640, 480), (480, 640), (900, 400)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Three pictures, each with a mask of half its size whose left half is white, a guide, and a sketch whose right half is; one of
    them is rotated by EXIF."""
    place = tmp_path_factory.mktemp("companions")
    source = place / "source"
    for folder in ("pictures", "masks", "guides", "sketches"):
        (source / folder).mkdir(parents=True)
    for n, (width, height) in enumerate(SIZES):
        picture = Image.effect_noise((width, height), 30 + n).convert("RGB")
        exif = Image.Exif()
        if n == 1:  # stored lying, shown upright
            picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
        picture.save(source / "pictures" / f"{n}.jpg", exif=exif)
        mask = np.zeros((height // 2, width // 2), np.uint8)
        mask[:, : width // 4] = 255
        mask[0, 0] = n
        Image.fromarray(mask).save(source / "masks" / f"{n}.png")
        Image.effect_noise((width, height), 60 + n).convert("RGB").save(source / "guides" / f"{n}.png")
        sketch = np.full((height, width, 3), 20 * n, np.uint8)  # dark on the left, light on the right
        sketch[:, width // 2 :] = 255
        Image.fromarray(sketch).save(source / "sketches" / f"{n}.png")
    tables = Tables(store=str(place / "store"), storage=Storage())
    dataset = Dataset(Resources(tables.storage, tables, Warehouse(tables=tables), Models(device="cpu")), source)
    dataset.run()
    return Training(dataset, place / "project")


@pytest.fixture
def training(built: Training) -> Training:
    """The same, with the subset as it is above and no export."""
    shutil.rmtree(Path(built.resources.tables.root) / "exports", ignore_errors=True)
    built.select(SUBSET)
    return built


def ids(training: Training) -> dict[str, str]:
    """sample_id -> stem of its original."""
    return {sample: Path(uri).stem for sample, (uri, _) in training.rows().items()}


@pytest.mark.parametrize("media", ["safe", "exact"])
def test_masks_lie_over_their_pictures(training: Training, media: str) -> None:
    done = training.export(mask="covered", control="guide", media=media, resolution=512)
    assert done.seen is not None and str(done.seen) == "3 of 3"
    for sample in ids(training):
        with Image.open(place(done) / "images" / f"{sample}.jpg") as picture:
            size = picture.size
        with Image.open(place(done) / "masks" / f"{sample}.png") as mask:
            assert mask.mode == "L" and mask.size == size
            levels = np.asarray(mask)
            assert levels[:, : size[0] // 2 - 4].mean() > 250 and levels[:, size[0] // 2 + 4 :].max() < 5
        (guide,) = (place(done) / "controls").glob(f"{sample}.*")
        with Image.open(guide) as control:
            assert control.size == size


def test_a_guide_that_needs_no_change_keeps_its_bytes(training: Training) -> None:
    done = training.export(control="guide")
    for sample, stem in ids(training).items():
        source = training.dataset.source / "guides" / f"{stem}.png"
        assert (place(done) / "controls" / f"{sample}.png").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("layout", ["pairs", "hf", "musubi_jsonl", "diffusion_pipe_json", "webdataset"])
def test_every_layout_is_read_back_with_controls(training: Training, layout: str) -> None:
    done = training.export(layout=layout, control="guide", format="png")
    entries = list(LAYOUTS[layout].entries(Tree(place(done)), ["images"]))
    assert done.seen is not None and done.seen.whole and len(entries) == 3
    wanted = {training.dataset.source / "guides" / f"{s}.png": i for i, s in ids(training).items()}
    for path, sample in wanted.items():
        (entry,) = (e for e in entries if sample in e.path)
        read = entry.companions["control"][1]
        assert read is not None and read() == path.read_bytes()


@pytest.mark.parametrize("layout", ["pairs", "webdataset"])
def test_nodes_write_the_same_masks_and_controls(
    training: Training, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.setattr("arot_assets.exports.units.SAMPLES", 2)
    fields = {"mask": "covered", "control": "guide", "layout": layout, "media": "exact", "resolution": 512}
    one = files_of(training.export_anew(Local(), **fields))
    assert files_of(training.export_anew(Scattered(), **fields)) == one and len(one) > 3
    again = training.export(Scattered(), **fields, quality=90)
    assert again.changed and again.seen is not None and str(again.seen) == "3 of 3"


@pytest.mark.parametrize(
    "fields",
    [
        {"mask": "covered", "control": "guide", "max_side": 300},
        {"control": ["guide", "picked"], "media": "exact", "resolution": 512},
        {"layout": "hf", "mask": "covered", "control": "guide"},
        {"layout": "simpletuner_parquet", "control": "guide"},
        {"layout": "musubi_jsonl", "control": ["guide", "picked"]},
        {"layout": "diffusion_pipe_json", "mask": "covered", "control": "guide"},
    ],
    ids=str,
)
def test_nodes_write_the_masks_and_controls_of_one_process_to_s3(
    training: Training, swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch, fields: dict[str, object]
) -> None:
    monkeypatch.setattr("arot_assets.exports.units.SAMPLES", 2)
    monkeypatch.setattr("arot_assets.exports.arrange.FILES", 2)
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    one = files_of(training.export(**fields, trainer_root="/data"))
    engine = Scattered()
    done = training.export(engine, destination=f"s3://{bucket}/sets", trainer_root="/data", **fields)
    assert done.seen is not None and str(done.seen) == "3 of 3" and len(engine.units) > 2
    found = objects(swift, done.receipt.place)
    assert found == {path: data for path, data in one.items() if path in found}
    assert {path for path in one if "/" in path} <= found.keys()
    own = {path.partition("/")[0] for path in found}
    assert own >= ({"masks", "controls"} if "mask" in fields else {"controls"})
    assert objects(swift, f"s3://{bucket}/sets/train").keys() == {f"{done.receipt.version}/{p}" for p in found}


def test_a_mask_that_is_not_in_s3_as_a_node_put_it_is_found(
    training: Training, swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    take = RemoteStage.take

    def cut_short(stage: RemoteStage, folder: Path, paths: Sequence[str]) -> None:
        for path in (path for path in paths if path.startswith("masks/")):
            (folder / path).write_bytes((folder / path).read_bytes()[:-9])
        take(stage, folder, paths)

    monkeypatch.setattr(RemoteStage, "take", cut_short)
    with pytest.raises(ExportError, match="trainers would see 0 of 3; nothing was exported"):
        training.export(Scattered(), destination=f"s3://{bucket}/sets", mask="covered")
    assert objects(swift, f"s3://{bucket}/sets") == {}


def test_datasets_gives_masks_and_controls_as_pictures(training: Training, tmp_path: Path) -> None:
    import datasets

    done = training.export(layout="hf", mask="covered", control="guide")
    rows = datasets.load_dataset(str(place(done)), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 3 and all(r["mask"].size == r["image"].size == r["control"].size for r in rows)


def test_configurations_name_the_folders_that_their_trainers_look_into(training: Training) -> None:
    both = place(training.export(mask="covered", control="guide"))
    (directory,) = tomllib.loads((both / "configs" / "diffusion_pipe.toml").read_text())["directory"]
    assert directory["mask_path"] == f"{both}/masks" and directory["control_path"] == f"{both}/controls"
    assert not (both / "configs" / "kohya.toml").exists()  # it takes one of them at a time
    one = place(training.export(mask="covered"))
    kohya = tomllib.loads((one / "configs" / "kohya.toml").read_text())
    assert kohya["datasets"][0]["subsets"][0]["conditioning_data_dir"] == f"{one}/masks"
    assert "--masked_loss" in (one / "configs" / "commands.md").read_text()


def test_a_missing_mask_is_refused_by_name_or_left_out(training: Training) -> None:
    victim = sorted(ids(training))[0]
    training.select(SUBSET.replace("m.sample_id as covered", f"nullif(m.sample_id, case p.sample_id when '{victim}' then m.sample_id end) as covered"))  # fmt: skip
    with pytest.raises(ExportError, match=f"companion_missing.*{victim}"):
        training.export(mask="covered")
    done = training.export(mask="covered", rules={"companion_missing": "skip"})
    assert done.receipt.samples == 2 and [v.subject for v in done.left_out] == [victim]


def test_a_control_of_another_shape_is_refused_or_kept_as_it_is(training: Training) -> None:
    turned = SUBSET.replace("g.stem = p.stem where", "(g.stem::int + 1) % 3 = p.stem::int where")
    training.select(turned)
    with pytest.raises(ExportError, match="companion_shape"):
        training.export(control="guide")
    done = training.export(control="guide", rules={"companion_shape": "keep"})
    assert done.receipt.samples == 3 and done.receipt.noted["companion_shape"] == 3


def test_another_mask_is_another_version_in_which_pictures_stay(training: Training) -> None:
    first = training.export(mask="covered", media="exact", resolution=512)
    training.select(SUBSET.replace("m.sample_id as covered", "g.sample_id as covered"))
    second = training.export(mask="covered", media="exact", resolution=512)
    assert first.receipt.version != second.receipt.version
    for sample in ids(training):
        images = [place(done) / "images" / f"{sample}.jpg" for done in (first, second)]
        assert images[0].samefile(images[1])
        masks = [place(done) / "masks" / f"{sample}.png" for done in (first, second)]
        assert masks[0].read_bytes() != masks[1].read_bytes()
    manifest = read_manifest(training.resources.tables, "train", second.receipt.version)
    assert set(manifest["mask"].to_pylist()) == {f"masks/{s}.png" for s in ids(training)}


def test_the_check_names_masks_that_are_gone_foreign_or_of_another_size(training: Training) -> None:
    done = training.export(mask="covered")
    declaration = training.declaration(mask="covered")
    one, two, three = sorted((place(done) / "masks").iterdir())
    Image.new("L", (64, 64)).save(two)
    three.rename(three.with_name("other.png"))
    one.write_bytes(b"no picture")
    seen = verify(declaration, training.resources.tables, training.resources.storage)
    assert seen.found == 0
    assert {(v.rule, v.subject) for v in seen.violations} == {
        ("unreadable", f"masks/{one.name}"),
        ("companion_shape", f"images/{two.stem}.jpg"),
        ("companion_missing", f"images/{three.stem}.jpg"),
        ("foreign_file", "masks/other.png"),
    }


def test_an_index_that_names_the_mask_of_another_sample_is_found_out(training: Training) -> None:
    done = training.export(layout="hf", mask="covered")
    index = place(done) / "metadata.jsonl"
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    rows[0]["mask_file_name"], rows[1]["mask_file_name"] = rows[1]["mask_file_name"], rows[0]["mask_file_name"]
    index.write_text("".join(json.dumps(r) + "\n" for r in rows))
    declaration = training.declaration(layout="hf", mask="covered")
    seen = verify(declaration, training.resources.tables, training.resources.storage)
    assert [v.rule for v in seen.violations].count("companion_missing") == 2 and seen.found == 1


def test_a_layout_without_a_place_for_masks_says_so() -> None:
    with pytest.raises(ValueError, match="has no place for masks"):
        ExportDeclaration.model_validate({"name": "e", "subset": "s", "layout": "kohya_jsonl", "mask": "covered"})


@pytest.mark.parametrize(
    ("trainer", "layout", "declared"),
    [
        ("finetrainers", "pairs", {"control": "guide"}),
        ("finetrainers", "webdataset", {"mask": "covered"}),
        ("musubi", "pairs", {"mask": "covered"}),
        ("diffusion-pipe", "pairs", {"control": ["guide", "covered"]}),
        ("sd-scripts", "pairs", {"control": ["guide", "covered"]}),
        ("onetrainer", "pairs", {"control": ["guide", "covered"]}),
        ("diffusers", "hf", {"control": ["guide", "covered"]}),
    ],
)
def test_a_trainer_that_does_not_take_them_is_refused_by_name(
    training: Training, trainer: str, layout: str, declared: dict[str, object]
) -> None:
    with pytest.raises(ExportError, match=f"{trainer} does not take images with a"):
        training.export(**declared, layout=layout, trainers=[trainer])


@pytest.mark.parametrize("layout", ["ltx", "diffusion_pipe_json"])
def test_a_layout_with_a_place_for_one_control_refuses_several(layout: str) -> None:
    with pytest.raises(ValueError, match="a place for one control"):
        ExportDeclaration.model_validate({"name": "e", "subset": "s", "layout": layout, "control": ["a", "b"]})


@pytest.mark.parametrize("layout", ["pairs", "hf", "musubi_jsonl", "simpletuner_parquet", "webdataset"])
def test_every_layout_for_several_controls_is_read_back_with_each(training: Training, layout: str) -> None:
    done = training.export(layout=layout, control=["guide", "picked"], format="png")
    entries = list(LAYOUTS[layout].entries(Tree(place(done)), ["images"]))
    assert done.seen is not None and done.seen.whole and len(entries) == 3
    for sample, stem in ids(training).items():
        (entry,) = (e for e in entries if sample in e.path)
        found = {role: read() for role, (_, read) in entry.companions.items() if read is not None}
        guide = (training.dataset.source / "guides" / f"{stem}.png").read_bytes()
        assert found["control"] == guide and set(found) == {"control", "control_2"} and found["control_2"] != guide


def test_a_second_control_that_is_gone_is_found_by_the_check(training: Training) -> None:
    done = training.export(control=["guide", "picked"])
    victim = sorted((place(done) / "controls_2").iterdir())[0]
    victim.unlink()
    declaration = training.declaration(control=["guide", "picked"])
    seen = verify(declaration, training.resources.tables, training.resources.storage)
    assert [(v.rule, v.text) for v in seen.violations] == [("companion_missing", "it has no control_2")]


def test_configurations_name_every_control(training: Training) -> None:
    done = place(training.export(control=["guide", "picked"], mask="covered", trainers=["ai-toolkit", "simpletuner"]))
    (dataset,) = yaml.safe_load((done / "configs" / "ai_toolkit.yaml").read_text())["config"]["process"][0]["datasets"]
    assert dataset["mask_path"] == f"{done}/masks"
    assert [dataset[f"control_path_{n}"] for n in (1, 2)] == [f"{done}/controls", f"{done}/controls_2"]
    main, *beside = json.loads((done / "configs" / "simpletuner_multidatabackend.json").read_text())[:-1]
    assert [one["id"] for one in beside] == main["conditioning_data"]
    assert [one["conditioning_type"] for one in beside] == ["mask", "reference_strict", "reference_strict"]
    for one in beside:
        names = {p.name for p in Path(one["instance_data_dir"]).iterdir()}
        assert names == {p.name for p in (done / "images").iterdir() if p.suffix != ".txt"}
    assert "--conditioning_multidataset_sampling combined" in (done / "configs" / "commands.md").read_text()
