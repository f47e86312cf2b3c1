"""The entries of the catalogue: each prepares images as its model was trained, and says what it may be used for.

Small models in the layout of the real repositories stand behind them; everything else is the entry as it ships.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from arot_assets.cli.main import main
from arot_assets.metrics.of_entry import columns_of
from resources.models import Models
from resources.models.entries import CATALOGUE, all_entries, find_entry, read_entry
from resources.models.entry import Hub as OnHub
from resources.models.entry import ModelEntry, ModelError
from resources.models.output_values import values_of
from resources.models.preprocessing import preprocess
from resources.models.tag_files import read_tags, tags_output
from resources.models.which_family import family_of, known_families
from tests.models import tiny
from tests.models.test_families import TOLERANCE
from tests.servers.hub import Hub

Publish = Callable[..., dict[str, Any]]
SHIPPED = [read_entry(file) for file in sorted(CATALOGUE.glob("*.yaml"))]
WHITE = (255, 255, 255)


def picture(width: int = 300, height: int = 200) -> Image.Image:
    """Colour that changes quickly from point to point, so that another filter, place or channel gives other numbers."""
    noise = np.random.default_rng(1).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def read_at(image: Image.Image, channel: int) -> NDArray[np.float32]:
    """What ``tiny.pixel_reader`` reads of a square image."""
    across, down = tiny.places(image.width)
    return np.asarray(image, np.float32)[down, across : across + 12, channel]


def squared(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """In the middle of a square of a colour."""
    canvas = Image.new("RGB", (max(image.size),) * 2, colour)
    canvas.paste(image, ((canvas.width - image.width) // 2, (canvas.height - image.height) // 2))
    return canvas


def given_to(models: Models, name: str, image: Image.Image) -> dict[str, Any]:
    """What the model of an entry gives for an image."""
    runner = models.get(name)
    return runner.predict([runner.prepare(np.asarray(image))])


def outputs_with(name: str, **changed: Any) -> list[dict[str, Any]]:
    """The first output of an entry, changed to fit a small model."""
    import yaml

    output = yaml.safe_load((CATALOGUE / f"{name}.yaml").read_text())["attributes"]["outputs"][0]
    return [output | changed]


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.name)
def test_every_entry_can_be_read_and_makes_a_table(entry: ModelEntry) -> None:
    assert entry.family in known_families() and family_of(entry).FILES
    assert entry.licence and entry.reference and entry.parameters and columns_of(entry)
    output = tags_output(entry)
    if output is not None:
        assert output.floor < 0.1, "thresholds are for queries"


def test_weights_that_are_not_pinned_are_told_with_their_remedy_and_refused(models: Models) -> None:
    open_ = [entry.name for entry in SHIPPED if not entry.is_pinned]
    assert "wd_vit" in open_ and all(isinstance(find_entry(name).weights, OnHub) for name in open_)
    listed = CliRunner().invoke(main, ["models", "list"], env={"COLUMNS": "250"})
    assert listed.exit_code == 0
    shown = CliRunner().invoke(main, ["models", "show", "wd_vit"])
    assert shown.exit_code == 0 and "not pinned" in shown.stdout and "arot models pin wd_vit" in shown.stdout
    assert "probabilities" in shown.stdout
    for name in open_:
        with pytest.raises(ModelError, match=f"arot models pin {name}"):
            models.files.verified(find_entry(name))


def test_pinning_an_entry_of_the_catalogue_writes_it_into_the_project(
    models: Models, hub: Hub, project: Path, tmp_path: Path
) -> None:
    tiny.timm_tagger(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    repository = hub.create("SmilingWolf/wd-vit-tagger-v3", "model")
    commit = hub.commit(repository, files).id
    hub.commit(repository, {"README.md": b"later"})
    shipped = (CATALOGUE / "wd_vit.yaml").read_text()
    (project / "models" / "wd_vit.yaml").write_text(shipped.replace("7f6b584d", f'"{commit[:8]}"'))
    pinned = CliRunner().invoke(main, ["models", "pin", "wd_vit"])
    assert pinned.exit_code == 0, pinned.output
    assert find_entry("wd_vit").weights.release == commit and find_entry("wd_vit").is_pinned
    (project / "models" / "wd_vit.yaml").unlink()
    refused = CliRunner().invoke(main, ["models", "pin", "wd_vit"])
    assert refused.exit_code != 0 and "0 commits that begin with 7f6b584d" in refused.output
    assert (CATALOGUE / "wd_vit.yaml").read_text() == shipped
    follows = CliRunner().invoke(main, ["models", "pin", "caption_similarity"])
    assert follows.exit_code != 0 and "`arot models pin clip_l14` pins both" in follows.output


def test_a_commit_of_digits_alone_is_to_be_put_in_quotes(models: Models, project: Path) -> None:
    shipped = (CATALOGUE / "wd_vit.yaml").read_text()
    (project / "models" / "wd_vit.yaml").write_text(shipped.replace("7f6b584d", "12345678"))
    refused = CliRunner().invoke(main, ["models", "pin", "wd_vit"])
    assert refused.exit_code != 0 and "hub.revision" in refused.output and "put it in quotes" in refused.output


def test_wd_taggers_have_two_contracts(models: Models, of_catalogue: Publish) -> None:
    """ONNX: levels of 0-255 as BGR, height and width first, and probabilities. timm: -1 to 1, logits."""

    def make(folder: Path) -> None:
        tiny.pixel_reader(folder, 448, "NHWC", {"output": "Identity"})
        tiny.wd_tags(folder)

    of_catalogue("wd_eva02_large_onnx", make, outputs=outputs_with("wd_eva02_large_onnx", count=12, floor=-1.0))
    found = given_to(models, "wd_eva02_large_onnx", picture())
    blue = read_at(squared(picture(), WHITE).resize((448, 448), Image.Resampling.BICUBIC), 2)
    np.testing.assert_array_equal(found["output"][0], blue)
    row = values_of(find_entry("wd_eva02_large_onnx").outputs[0], found)[0]
    assert sorted(row["probabilities"]) == sorted(blue), "a sigmoid over probabilities would change them"
    timm = find_entry("wd_eva02_large")
    output = tags_output(timm)
    assert output is not None and output.activation == "sigmoid"
    assert timm.preprocessing is not None and timm.preprocessing.channels == "BGR"


def test_pixai_is_squashed_bilinearly_and_its_probabilities_are_not_passed_through_a_sigmoid_again(
    models: Models, of_catalogue: Publish
) -> None:
    def make(folder: Path) -> None:
        tiny.pixel_reader(folder, 448, "NCHW", {"embedding": "Neg", "logits": "Identity", "prediction": "Sigmoid"})
        rows = [f"{n},{n},{'' if n == 8 else f'tag_{n}'},{0 if n < 9 else 4},5,'[]'" for n in range(12)]
        (folder / "selected_tags.csv").write_text("\n".join(["id,tag_id,name,category,count,ips", *rows]) + "\n")

    of_catalogue("pixai_v09", make, outputs=outputs_with("pixai_v09", count=12, floor=0.0))
    red = read_at(picture().resize((448, 448), Image.Resampling.BILINEAR), 0)
    wanted = 1 / (1 + np.exp(-(red / 255 - 0.5) / 0.5))
    row = values_of(find_entry("pixai_v09").outputs[0], given_to(models, "pixai_v09", picture()))[0]
    np.testing.assert_allclose(row["probabilities"], np.sort(wanted)[::-1], atol=1e-6)
    np.testing.assert_array_equal(row["tags"], np.argsort(-wanted, kind="stable"))
    tags = read_tags(find_entry("pixai_v09"), models.files.verified(find_entry("pixai_v09")))
    assert tags[8] == ("", "general", pytest.approx(0.30)) and tags[9] == ("tag_9", "character", pytest.approx(0.85))


def test_pixai_1_keeps_the_shape_on_black(models: Models, of_catalogue: Publish) -> None:
    def make(folder: Path) -> None:
        tiny.pixel_reader(folder, 1008, "NCHW", {"logits": "Identity"})
        general = {"name": "general", "offset": 0, "count": 10, "tags": [f"tag_{n}" for n in range(10)]}
        rating = {"name": "rating", "offset": 10, "count": 2, "tags": ["rating:g", "rating:s"]}
        (folder / "tags.json").write_text(json.dumps({"num_classes": 12, "categories": [rating, general]}))

    of_catalogue("pixai_v10", make, outputs=outputs_with("pixai_v10", count=12))
    tags = read_tags(find_entry("pixai_v10"), models.files.verified(find_entry("pixai_v10")))
    assert tags[9:11] == [("tag_9", "general", 0.17), ("rating:g", "rating", 0.41)]
    tall, canvas = picture(100, 333), Image.new("RGB", (1008, 1008), "black")
    wide = int(100 * 1008 / 333)  # rounded down, as published
    canvas.paste(tall.resize((wide, 1008), Image.Resampling.BILINEAR), ((1008 - wide) // 2, 0))
    wanted = (read_at(canvas, 0) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(given_to(models, "pixai_v10", tall)["logits"][0], wanted, atol=1e-5)


def test_the_canary_tagger_sees_blue_first(models: Models, of_catalogue: Publish) -> None:
    """With RGB, 44 % of its tags agree, as its conversions to ONNX show."""
    import yaml

    small = yaml.safe_load((CATALOGUE / "wd_canary.yaml").read_text())["attributes"]["preprocessing"] | {"size": 32}
    fields: dict[str, Any] = {"outputs": outputs_with("wd_canary", count=12), "preprocessing": small}
    of_catalogue("wd_canary", tiny.timm_tagger, **fields, parameters=30_000)
    entry = find_entry("wd_canary")
    reference = family_of(entry).reference(entry, models.files.verified(entry))
    image, swapped = picture(), Image.merge("RGB", picture().split()[::-1])
    (of,) = {output.of for output in entry.outputs}
    found = given_to(models, "wd_canary", image)[of]
    np.testing.assert_allclose(found, reference(image)[of], atol=TOLERANCE)
    assert np.abs(found - reference(swapped)[of]).max() > 100 * TOLERANCE


def test_camie_pads_with_its_own_colour_and_its_refined_output_is_taken(models: Models, of_catalogue: Publish) -> None:
    names = [f"tag_{n}" for n in range(12)]

    def make(folder: Path) -> None:
        outputs = {"initial": "Neg", "refined": "Identity"}
        tiny.pixel_reader(folder, 512, "NCHW", outputs, "camie-tagger-v2.onnx")
        told = {
            "idx_to_tag": dict(enumerate(names)),
            "tag_to_category": {n: "artist" if n == "tag_3" else "year" for n in names},
        }
        (folder / "camie-tagger-v2-metadata.json").write_text(json.dumps({"dataset_info": {"tag_mapping": told}}))

    of_catalogue("camie_v2", make, outputs=outputs_with("camie_v2", count=12))
    tall, canvas = picture(8, 400), Image.new("RGB", (512, 512), (124, 116, 104))
    canvas.paste(tall.resize((10, 512), Image.Resampling.LANCZOS), (251, 0))
    wanted = (read_at(canvas, 0) / 255 - 0.485) / 0.229
    assert (read_at(canvas, 0) == 124).sum() == 2, "it reads some of the borders"
    np.testing.assert_allclose(given_to(models, "camie_v2", tall)["refined"][0], wanted, atol=1e-5)
    tags = read_tags(find_entry("camie_v2"), models.files.verified(find_entry("camie_v2")))
    assert [tags[2][:2], tags[3][:2]] == [("tag_2", "year"), ("tag_3", "artist")]


def test_animetimm_is_fitted_onto_a_white_square_first_and_each_tag_has_its_threshold(
    models: Models, of_catalogue: Publish
) -> None:
    import yaml

    def make(folder: Path) -> None:
        tiny.timm_tagger(folder)
        rows = [f"{n},tag_{n},{9 if n < 4 else 0},0.{n + 10}" for n in range(12)]
        (folder / "selected_tags.csv").write_text("\n".join(["id,name,category,best_threshold", *rows]) + "\n")

    shipped = yaml.safe_load((CATALOGUE / "animetimm_eva02_large.yaml").read_text())["attributes"]["preprocessing"]
    small = shipped | {"size": 32, "canvas": 37}
    outputs = outputs_with("animetimm_eva02_large", count=12)
    of_catalogue("animetimm_eva02_large", make, outputs=outputs, preprocessing=small, parameters=30_000, gated=False)
    entry = find_entry("animetimm_eva02_large")
    folder = models.files.verified(entry)
    assert read_tags(entry, folder)[5] == ("tag_5", "general", 0.15)
    reference = family_of(entry).reference(entry, folder)
    for image in (picture(), picture(60, 200), picture(8, 400), Image.new("RGB", (1, 400), "red")):
        found = given_to(models, entry.name, image)["logits"]
        np.testing.assert_allclose(found, reference(image)["logits"], atol=TOLERANCE, err_msg=str(image.size))
    how = entry.preprocessing
    assert how is not None
    tall, canvas = picture(100, 333), Image.new("RGB", (37, 37), WHITE)
    canvas.paste(tall.resize((11, 37), Image.Resampling.BILINEAR), (13, 0))  # 11.1 pixels wide
    wanted = np.asarray(canvas.resize((32, 32), Image.Resampling.BICUBIC), np.float32).transpose(2, 0, 1) / 255
    wanted = (wanted - np.array(how.mean)[:, None, None]) / np.array(how.std)[:, None, None]
    np.testing.assert_allclose(preprocess(np.asarray(tall), how), wanted, atol=1e-5)


def test_joytag_is_padded_with_white_and_has_one_threshold_for_all_tags(models: Models, of_catalogue: Publish) -> None:
    def make(folder: Path) -> None:
        tiny.pixel_reader(folder, 448, "NCHW", {"whatever it is called": "Identity"})
        (folder / "top_tags.txt").write_text("".join(f"tag_{n}\n" for n in range(12)))

    of_catalogue("joytag", make, outputs=outputs_with("joytag", count=12))
    red = read_at(squared(picture(), WHITE).resize((448, 448), Image.Resampling.BICUBIC), 0)
    wanted = (red / 255 - 0.48145466) / 0.26862954
    np.testing.assert_allclose(given_to(models, "joytag", picture())["logits"][0], wanted, atol=1e-5)
    assert read_tags(find_entry("joytag"), models.files.verified(find_entry("joytag")))[0] == ("tag_0", None, 0.4)


def test_anime_aesthetic_is_the_mean_of_its_seven_levels_from_worst_to_masterpiece(
    models: Models, of_catalogue: Publish
) -> None:
    """As imgutils prepares it: squashed to 448 bilinearly, RGB, -1 to 1; the file gives probabilities."""
    file = "swinv2pv3_v0_448_ls0.2_x/model.onnx"
    of_catalogue(
        "anime_aesthetic",
        lambda folder: tiny.pixel_reader(folder, 448, "NCHW", {"output": "Softmax"}, file, count=7),
        parameters=30_000,
    )
    red = read_at(picture().resize((448, 448), Image.Resampling.BILINEAR), 0)[:7]
    exponentials = np.exp((red / 255 - 0.5) / 0.5)
    levels = exponentials / exponentials.sum()
    row = values_of(find_entry("anime_aesthetic").outputs[0], given_to(models, "anime_aesthetic", picture()))[0]
    names = ["worst", "low", "normal", "good", "great", "best", "masterpiece"]
    np.testing.assert_allclose([row[f"p_{name}"] for name in names], levels, atol=1e-5)
    assert row["score"] == pytest.approx(float(levels @ np.arange(7)), abs=1e-4)
    assert levels.std() > 0.01, "a softmax over probabilities would make the levels nearly equal"


def test_a_list_of_tags_that_is_not_the_models_is_refused(models: Models, of_catalogue: Publish) -> None:
    def make(folder: Path) -> None:
        tiny.pixel_reader(folder, 448, "NCHW", {"output": "Identity"})
        (folder / "top_tags.txt").write_text("one\ntwo\n")

    of_catalogue("joytag", make, outputs=outputs_with("joytag", count=12))
    with pytest.raises(ModelError, match=r"has 2 tags, and its output 'tags' has 12"):
        read_tags(find_entry("joytag"), models.files.verified(find_entry("joytag")))


def test_taggers_have_thresholds_of_their_own() -> None:
    general = {}
    for entry in SHIPPED:
        output = tags_output(entry)
        if output is not None and not isinstance(output.tags, tuple) and output.tags.thresholds:
            general[entry.name] = output.tags.thresholds.get("general")
    assert general["wd_eva02_large"] == 0.5296 and general["wd_vit"] == 0.2614 and general["pixai_v10"] == 0.17


def test_the_first_class_of_the_watermark_detector_is_the_watermark(models: Models, of_catalogue: Publish) -> None:
    options = {"architecture": "test_efficientnet", "classifier": [625, "relu", "dropout", 256, "relu", 2]}
    of_catalogue("watermark", tiny.watermark_detector, options=options, parameters=1_000_000)
    entry = find_entry("watermark")
    assert values_of(entry.outputs[0], given_to(models, "watermark", picture()))[0]["score"] > 0.9
    wanted = np.asarray(picture().resize((256, 256), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1) / 255
    wanted = (wanted - np.array([[[0.485]], [[0.456]], [[0.406]]])) / np.array([[[0.229]], [[0.224]], [[0.225]]])
    np.testing.assert_allclose(models.get("watermark").prepare(np.asarray(picture())), wanted, atol=1e-5)
    reference = family_of(entry).reference(entry, models.files.verified(entry))
    np.testing.assert_allclose(
        given_to(models, "watermark", picture())["logits"], reference(picture())["logits"], atol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "make", "size"),
    [
        ("siglip2_so400m", tiny.siglip, 32),
        ("dinov2_b", tiny.dinov2, 32),
        ("clip_l14", lambda folder: tiny.open_clip(folder, quick_gelu=True), 16),
        ("depth_dpt_hybrid", tiny.dpt, None),
    ],
)
def test_an_embedding_or_a_depth_is_what_the_published_pipeline_gives(
    name: str, make: Callable[[Path], None], size: int | None, models: Models, of_catalogue: Publish
) -> None:
    of_catalogue(name, make, outputs=outputs_with(name, **({"size": size} if size else {})), parameters=30_000)
    entry = find_entry(name)
    reference = family_of(entry).reference(entry, models.files.verified(entry))
    for image in (picture(), picture(60, 200), Image.new("RGB", (4, 90), "red")):
        for array in {output.of for output in entry.outputs}:
            found = given_to(models, name, image)[array]
            np.testing.assert_allclose(found, reference(image)[array], atol=TOLERANCE, err_msg=str(image.size))


def test_aesthetic_heads_read_the_published_files(models: Models, of_catalogue: Publish, project: Path) -> None:
    import torch

    from resources.models.families.head import read_head, reference_of_vectors
    from resources.models.heads import Heads

    def make(folder: Path) -> None:
        tiny.linear_head(folder, "models/aesthetic_predictor_v2_5.pth", [1152, 1024, 128, 64, 16, 1], "scoring_head.")

    of_catalogue("siglip_aesthetic", make)
    entry = find_entry("siglip_aesthetic")
    folder = models.files.verified(entry)
    vectors = np.random.default_rng(0).standard_normal((40, 1152)).astype(np.float32)
    found = Heads({"score": read_head(entry, folder)}).predict(vectors)["score"]
    np.testing.assert_allclose(found, reference_of_vectors(entry, folder)(vectors), atol=1e-4)
    doubled = Heads({"score": read_head(entry, folder)}).predict(vectors * 2)["score"]
    np.testing.assert_allclose(doubled, found, atol=1e-4), "the vector is normalised first"
    assert torch.load(folder / entry.file(), weights_only=True)
    assert not entry.commercial


def test_no_entry_is_broken() -> None:
    assert all_entries()[1] == []


def test_ram_plus_says_plain_words_each_with_its_own_threshold(models: Models, of_catalogue: Publish) -> None:
    """Its repository has the checkpoint alone: the words and their thresholds ship with the catalogue."""
    small = {"size": 64, "resize": "squash", "interpolation": "bilinear"}
    of_catalogue(
        "ram_plus", lambda folder: tiny.ram_plus(folder, tags=4585, texts=2), options=tiny.RAM, preprocessing=small
    )
    entry = find_entry("ram_plus")
    tags = read_tags(entry, models.files.verified(entry))
    assert tags[:2] == [("3D CG rendering", None, 0.65), ("3D glasses", None, 0.65)] and len(tags) == 4585
    assert len({threshold for _, _, threshold in tags}) > 5
    row = values_of(entry.outputs[0], given_to(models, "ram_plus", picture()))[0]
    assert len(row["tags"]) == len(row["probabilities"]) > 0 and max(row["tags"]) < 4585
