"""What Dagster knows of a captioner."""

from pathlib import Path

import dagster as dg
import pytest

from arot_assets.captions.assets import caption_assets
from resources.models import Models
from tests.captions.conftest import Asked
from tests.engines import Watched
from tests.models.vlm import qwen2_vl
from tests.test_made_by_this_process import HERE, lines_of

SPAN = {"dagster/asset_partition_range_start": "00000", "dagster/asset_partition_range_end": "00002"}


@pytest.mark.parametrize(("start", "automated"), [("automatic", True), ("on_request", False)])
def test_automation_asks_only_where_it_is_declared(asked: Asked, start: str, automated: bool) -> None:
    asked.prompt.write_text("{{ cv2.brightness }} of {{ sample.width }}")
    captions, quality = caption_assets(asked.declaration(start=start), Models())
    key = dg.AssetKey(["d", "caption"])
    assert (key in captions.automation_conditions_by_key) == automated
    assert captions.asset_deps[key] == {dg.AssetKey(["d", "samples"]), dg.AssetKey(["d", "cv2"])}
    assert dg.AssetKey(["d", "caption_quality"]) in quality.automation_conditions_by_key


def test_local_model_is_asked_by_the_engine_and_a_server_by_this_process_which_says_so(
    asked: Asked, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    qwen2_vl(tmp_path / "model")
    local = {"local": {"model": str(tmp_path / "model")}, "sampling": {"max_tokens": 4}, "image": {"max_pixels": 4_000}}
    for fields, units, said in (
        ({}, 0, ["its questions wait for a server; make that larger, and raise `concurrency`"]),
        (local, 12, []),
        (local, 0, []),
    ):
        ray = Watched()
        captions, _ = caption_assets(asked.declaration(**fields), Models())
        assert lines_of(asked.dataset, captions, ray, tags=SPAN) == [f"d/caption {HERE}: {why}" for why in said]
        assert len(ray.units) == units, "a sample a unit, and none of what is there"
        assert len(asked.rows()) == 12
    assert {row["model"] for row in asked.rows()} == {str(tmp_path / "model")}
