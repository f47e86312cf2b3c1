"""What a caption says of the camera stands in the table of quality beside what was measured of the clip."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from arot_assets.captions.assets import caption_assets
from arot_assets.captions.camera import MEASURED, camera_words, speaks_of_camera
from arot_assets.captions.quality import quality_metric
from arot_assets.captions.steps import caption_steps
from arot_assets.declarations import VideoDataset
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.rows import build_rows, row_versions, rows_are_current
from resources.defaults import Resources
from resources.models import Models
from resources.tables import TableRef
from tests.captions.conftest import Asked
from tests.conftest import EXAMPLES, Dataset
from tests.servers.vlm import VlmServerDouble

FIELDS = {
    "type": "object",
    "properties": {"subject": {"type": "string"}, "camera": {"type": "string"}},
    "required": ["subject", "camera"],
    "additionalProperties": False,
}
SAID = {
    "right": "The camera pans slowly to the right.",
    "left": "A pan to the left.",
    "still": "Handheld, very shaky.",
    "fixed": "A static shot.",
    "silent": "Beautiful.",
    "short": "The camera pans.",
}
EXPECTED = {
    "right": (["pan"], "pan", True),
    "left": (["pan"], "pan", False),
    "still": (["handheld"], "still", False),
    "fixed": (["still"], "still", True),
    "silent": ([], "pan", None),
    "short": (["pan"], None, None),
}


def film(path: Path, speed: int, frames: int = 36) -> None:
    """A camera that goes to the right over a photo, by so many of 128 pixels a frame."""
    photo = np.asarray(Image.open(sorted((EXAMPLES / "photo").rglob("*.jpg"))[0]).convert("RGB").resize((400, 96)))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for n in range(frames):
            shown = np.ascontiguousarray(photo[:, 20 + speed * n : 148 + speed * n])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
        out.mux(stream.encode(None))


@pytest.fixture
def clips(resources: Resources, server: VlmServerDouble, tmp_path: Path) -> Asked:
    """A captioner of moving and still clips, which are decoded."""
    source, prompt = tmp_path / "clips", tmp_path / "clip.jinja"
    source.mkdir()
    for k, name in enumerate(SAID):
        film(source / f"{name}.mp4", 0 if name in ("still", "fixed") else 3, 1 if name == "short" else 36 + k)
    prompt.write_text("Describe {{ sample.uri }}")
    dataset = Dataset(resources, source)
    films = VideoDataset.model_validate({"name": "d", "source": str(source), "settle_seconds": 0})
    dataset.declaration = films  # type: ignore[assignment]
    dataset.inventory()
    dataset.samples()
    build_files(resources.storage, resources.warehouse, resources.models, films, "00000", [])

    def words(request: Any, _kind: str) -> str:
        (name,) = (name for name in SAID if f"/{name}.mp4" in request.text) if request.image else ("silent",)
        return json.dumps({"subject": "a photo", "camera": SAID[name]})

    server.words = words  # type: ignore[method-assign]
    return Asked(dataset, server, prompt)


def test_words_about_the_camera_are_in_the_table_of_quality_beside_what_was_measured(clips: Asked) -> None:
    declaration, r = clips.declaration(stills=2, fields=FIELDS), clips.dataset.resources
    clips.run(stills=2, fields=FIELDS)
    metric = quality_metric(declaration)
    build_rows(r.warehouse, r.models, "d", "00000", [metric])
    names = {row[0]: Path(row[1]).stem for row in clips.dataset.sql("select sample_id, uri from d.samples")}
    rows = r.tables.read(TableRef("d", "caption_quality", "00000")).to_pylist()
    told = {names[row["sample_id"]]: (row["camera_said"], row["camera_measured"], row["camera_agrees"]) for row in rows}
    assert told == EXPECTED and {row["status"] for row in rows} == {"ok"}
    assert all(row["words"] and row["metric_version"] for row in rows)
    version = row_versions([metric], r.models)[metric.name]
    assert rows_are_current(r.tables, "d", metric, "00000", version)
    assert build_rows(r.warehouse, r.models, "d", "00000", [metric])[metric.name].computed == 0


def test_the_asset_and_the_step_of_quality_come_after_the_measured_motion(clips: Asked) -> None:
    declaration = clips.declaration(stills=2, fields=FIELDS)
    _, quality = caption_assets(declaration, Models())
    upstream = {tuple(key.path) for key in quality.keys_by_input_name.values()}
    assert {("d", "steps"), ("d", "caption")} <= upstream
    step = caption_steps(declaration)[1]
    assert {("d", "steps"), ("d", "caption")} <= set(step.upstream)


def test_only_captioners_of_films_with_a_text_about_the_camera_have_these_columns(clips: Asked) -> None:
    without = clips.declaration(stills=2)
    assert not speaks_of_camera(without) and not speaks_of_camera(clips.declaration(fields=FIELDS))
    assert not {c.name for c in quality_metric(without).columns} & {"camera_said", "camera_agrees"}
    assert not any(name.startswith("steps.") for name in quality_metric(without).takes.columns)  # type: ignore[union-attr]


def test_the_rule_is_that_of_the_macros() -> None:
    steps = {name: pa.chunked_array([[[0.0, 0.0]]], pa.list_(pa.float32())) for name in MEASURED}
    steps["cam_y"] = pa.chunked_array([[[0.3, 0.3]]], pa.list_(pa.float32()))
    steps["seconds"] = pa.chunked_array([[[0.1, 0.1]]], pa.list_(pa.float32()))
    for text, agrees in (("tilts upwards", True), ("tilting down", False), ("a crane shot", True)):
        found = camera_words(pa.chunked_array([[text]]), steps)
        assert (found["camera_measured"], found["camera_agrees"]) == (["tilt"], [agrees])
