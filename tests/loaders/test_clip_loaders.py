"""Trainers' own loaders take an export of clips N of N, with the captions, buckets and frames that the tables predict.

``AROT_TRAINERS`` as in ``test_loaders.py``, with `ltx2` (LTX-2) and `ltx-video-trainer` beside the others.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.declarations import VideoDataset
from arot_assets.exports.build import Outcome, export
from arot_assets.exports.export import ExportDeclaration
from arot_assets.subsets.load import load_project
from arot_assets.subsets.runner import build_all
from resources.defaults import Resources
from resources.tables import TableRef
from tests.exports.training import place
from tests.loaders.loading import ROOT, Prediction, by_caption, load, predicted

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="AROT_TRAINERS has no checkouts")

FPS, FRAMES = 24, 17
SIZES = ((768, 512), (768, 512), (512, 768), (768, 512))
SUBSET = """{{ config(tags=['subset']) }}
select sample_id, 'clip ' || parse_filename(uri, true) || ', moving' as caption, sample_id as guide from {{ source('clips', 'samples') }}
where status = 'ok'
"""


def write_clip(
    path: Path, size: tuple[int, int], seed: int, frames: int = FRAMES, told: Mapping[str, str] = MappingProxyType({})
) -> None:
    """A clip as `arot cut` writes them: H.264, constant rate, no B-frames; with metadata, if told."""
    import av

    random = np.random.default_rng(seed)
    first = random.integers(0, 255, (size[1] // 16, size[0] // 16, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w", options={"movflags": "+faststart+use_metadata_tags"}) as container:
        container.metadata.update(told)
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "ultrafast", "bf": "0"}
        for n in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(first, 8 * n, 1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class Clips:
    """A dataset of clips with a subset of all, and exports of it."""

    def __init__(
        self,
        resources: Resources,
        folder: Path,
        sizes: Iterable[tuple[int, int]] = SIZES,
        told: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.resources, self.folder = resources, folder / "project"
        source = folder / "clips"
        source.mkdir()
        for n, size in enumerate(sizes):
            write_clip(source / f"{n}.mp4", size, n, told=told)
        declared = VideoDataset.model_validate({"name": "clips", "source": str(source), "settle_seconds": 0})
        take_inventory(resources.storage, resources.tables, declared, datetime.now(UTC))
        for shard in set(resources.tables.read(TableRef("clips", "inventory"))["shard"].to_pylist()):
            build_samples(resources.storage, resources.tables, declared, shard)
        (self.folder / "models").mkdir(parents=True)
        (self.folder / "dbt_project.yml").write_text("name: small\nprofile: small\n")
        (self.folder / "models" / "sources.yml").write_text("sources:\n  - {name: clips, tables: [{name: samples}]}\n")
        (self.folder / "models" / "chosen.sql").write_text(SUBSET)
        resources.warehouse.refresh()
        build_all(load_project(self.folder), resources.warehouse, resources.tables)

    def export(self, **fields: Any) -> Outcome:
        """Export the subset as ``train``."""
        given = {"name": "train", "subset": "chosen", "frames": [FRAMES], "fps": FPS, "video_size": [768, 512]}
        declared = ExportDeclaration.model_validate(given | fields)
        return export(declared, load_project(self.folder), self.resources)

    def predicted(self, done: Outcome, trainer: str) -> Prediction:
        """Path -> what the tables predict."""
        return predicted(self.resources.tables, done, trainer)


@pytest.fixture
def clips(resources: Resources, tmp_path: Path) -> Clips:
    """Four clips, one of them upright."""
    return Clips(resources, tmp_path)


def compare(found: dict[str, tuple[str, int, int, int]], wanted: Prediction) -> None:
    """N of N, with the captions and buckets that were predicted."""
    expected = {p: (v["caption"], v["bucket_w"], v["bucket_h"], v["frames"]) for p, v in wanted.items()}
    assert found == expected and len(found) == len(SIZES)


@pytest.mark.parametrize("layout", ["pairs", "musubi_jsonl"])
def test_musubi_tuner(clips: Clips, layout: str) -> None:
    done = clips.export(layout=layout, repeats=2)
    found = load("musubi-tuner", place(done) / "configs" / "musubi.toml", "wan")
    # its key of a clip names the frames that it takes
    named = {str(Path(p).with_name(Path(p).name.split("_")[0] + ".mp4")): (c, w, h, f) for p, c, w, h, f, *_ in found}
    compare(named, clips.predicted(done, "musubi"))
    assert {repeats for *_, repeats in found} == {2}


def test_diffusion_pipe(clips: Clips, tmp_path: Path) -> None:
    done = clips.export()
    wanted = clips.predicted(done, "diffusion-pipe")
    found = load("diffusion-pipe", place(done) / "configs" / "diffusion_pipe.toml", tmp_path / "cache", FPS)
    assert {p: (c, f) for p, c, (_, f), *_ in found} == {p: (v["caption"], v["frames"]) for p, v in wanted.items()}
    assert len(found) == 4
    for path, _, (ratio, _), *_ in found:
        assert abs(ratio - wanted[path]["bucket_w"] / wanted[path]["bucket_h"]) < 0.001


def test_ai_toolkit(clips: Clips) -> None:
    done = clips.export()
    found = load("ai-toolkit", place(done) / "configs" / "ai_toolkit.yaml", 32)
    # it splits captions at commas and joins them again with one more space
    named = {p: (c.replace("  ", " "), w, h, f) for p, c, w, h, _, _, f, *_ in found}
    compare(named, clips.predicted(done, "ai-toolkit"))


def test_simpletuner(clips: Clips, tmp_path: Path) -> None:
    done = clips.export()
    config = place(done) / "configs" / "simpletuner_multidatabackend.json"
    found = load("simpletuner", config, tmp_path / "cache", 64)
    compare({p: (c, w, h, f) for p, c, w, h, _, f, _ in found}, clips.predicted(done, "simpletuner"))


@pytest.mark.parametrize("layout", ["pairs", "hf"])
def test_finetrainers(clips: Clips, layout: str) -> None:
    done = clips.export(layout=layout)
    found = load("finetrainers", place(done) / "configs" / "finetrainers.json")
    compare({c: (c, w, h, f) for c, w, h, f, _ in found}, by_caption(clips.predicted(done, "finetrainers")))


@pytest.mark.parametrize("trainer", ["ltx2", "ltx-video"])
def test_ltx(clips: Clips, trainer: str) -> None:
    done = clips.export(layout="ltx", trainers=[trainer])
    script, buckets = {
        "ltx2": ("ltx2", "resolution_buckets.txt"),
        "ltx-video": ("ltx-video-trainer", "resolution_bucket_ltx_video.txt"),
    }[trainer]
    found = load(script, place(done) / "dataset.jsonl", place(done) / "configs" / buckets)
    compare({str(place(done) / p): (c, w, h, f) for p, c, w, h, f, *_ in found}, clips.predicted(done, trainer))


def test_ltx_video_trainer_finds_the_reference_of_each_clip(clips: Clips) -> None:
    done = clips.export(layout="ltx", trainers=["ltx-video"], control="guide")
    dataset, bucket = place(done) / "dataset.jsonl", place(done) / "configs" / "resolution_bucket_ltx_video.txt"
    found = load("ltx-video-trainer", dataset, bucket)
    assert len(found) == len(SIZES) and all(reference == [f, h, w] for _, _, w, h, f, reference in found)
    assert "--reference-column reference_video" in (place(done) / "configs" / "commands.md").read_text()


def test_ai_toolkit_finds_the_control_of_each_clip_for_a_model_that_takes_clips(clips: Clips) -> None:
    done = clips.export(trainers=["ai-toolkit"], control="guide")
    config = place(done) / "configs" / "ai_toolkit.yaml"
    found = load("ai-toolkit", config, 32, 1)
    assert {p: controls for p, *_, controls in found} == {
        p: [p.replace("/videos/", "/controls/")] for p in clips.predicted(done, "ai-toolkit")
    }
    assert all(controls == [] for *_, controls in load("ai-toolkit", config, 32, 0))  # of others it sees none


def test_simpletuner_finds_the_reference_of_each_clip(clips: Clips, tmp_path: Path) -> None:
    done = clips.export(trainers=["simpletuner"], control="guide")
    config = place(done) / "configs" / "simpletuner_multidatabackend.json"
    found = load("simpletuner", config, tmp_path / "cache", 64)
    assert len(found) == len(SIZES)
    for path, caption, *_, ((kind, beside, text, *_),) in found:
        assert kind == "reference_strict" and text == caption
        assert beside == f"{place(done)}/simpletuner/controls/{Path(path).name}"


def test_ltx2_finds_the_reference_and_the_mask_of_each_clip(clips: Clips) -> None:
    done = clips.export(layout="ltx", trainers=["ltx2"], control="guide", mask="guide")
    wanted = clips.predicted(done, "ltx2")
    found = load("ltx2", place(done) / "dataset.jsonl", place(done) / "configs" / "resolution_buckets.txt")
    assert len(found) == len(SIZES)
    for path, _, width, height, frames, reference, mask in found:
        row = wanted[str(place(done) / path)]
        assert reference == [frames, height, width] and mask == row["mask"] == path.replace("videos", "masks")


def test_musubi_tuner_finds_the_control_of_each_clip(clips: Clips) -> None:
    done = clips.export(trainers=["musubi"], control="guide")
    found = load("musubi-tuner", place(done) / "configs" / "musubi.toml", "wan")
    assert len(found) == len(SIZES) and all(control for *_, control, _ in found)


def test_what_the_loaders_of_ltx_do_with_a_short_clip(clips: Clips) -> None:
    """The contract stops at it: LTX-2 leaves it out with a warning; so does the older one, whose clips and captions have names."""
    done = clips.export(layout="ltx", trainers=["ltx2"])
    victim = sorted((place(done) / "videos").iterdir())[0]
    victim.unlink()
    write_clip(victim, SIZES[0], 9, frames=9)
    found = load("ltx2", place(done) / "dataset.jsonl", place(done) / "configs" / "resolution_buckets.txt")
    assert len(found) == 3 and f"videos/{victim.name}" not in {p for p, *_ in found}
