"""What Dagster knows of a captioner."""

import dagster as dg
import pytest

from arot_assets.captions.assets import caption_assets
from resources.models import Models
from tests.captions.conftest import Asked


@pytest.mark.parametrize(("start", "automated"), [("automatic", True), ("on_request", False)])
def test_automation_asks_only_where_it_is_declared(asked: Asked, start: str, automated: bool) -> None:
    asked.prompt.write_text("{{ cv2.brightness }} of {{ sample.width }}")
    captions, quality = caption_assets(asked.declaration(start=start), Models())
    key = dg.AssetKey(["d", "caption"])
    assert (key in captions.automation_conditions_by_key) == automated
    assert captions.asset_deps[key] == {dg.AssetKey(["d", "samples"]), dg.AssetKey(["d", "cv2"])}
    assert dg.AssetKey(["d", "caption_quality"]) in quality.automation_conditions_by_key
