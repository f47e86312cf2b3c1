"""No file of an export tells where, when or with what a picture or a clip was taken."""

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from arot_assets.exports.clip import clip_facts
from arot_assets.exports.errors import ExportError
from resources.defaults import Resources
from tests.conftest import Dataset
from tests.exports.training import SUBSET, Training, place, tree
from tests.loaders.test_clip_loaders import Clips

TOLD = {"location": "+48.8577+002.295/", "com.android.manufacturer": "camera-of-someone"}


def pictures_and_times(data: bytes) -> list[tuple[Fraction, bytes]]:
    """Time and content of every packet."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        unit = stream.time_base * 24
        return [(Fraction(p.pts or 0) * unit, bytes(p)) for p in container.demux(stream) if p.dts is not None]


@pytest.fixture
def clips(resources: Resources, tmp_path: Path) -> Clips:
    """Two clips that tell where they were taken."""
    return Clips(resources, tmp_path, sizes=((128, 96), (128, 64)), told=TOLD)


def test_clips_lose_their_metadata_and_keep_every_packet(clips: Clips) -> None:
    done = clips.export(video_size=[128, 96], trainers=["musubi"], control="guide")
    assert done.seen is not None and done.seen.whole and done.receipt.noted["metadata"] == 2
    originals = {path.read_bytes() for path in (clips.folder.parent / "clips").iterdir()}
    assert all(b"48.8577" in data for data in originals)
    files = tree(place(done))
    assert not [name for name, data in files.items() if b"48.8577" in data or b"camera-of-someone" in data]
    exported = [data for name, data in files.items() if name.startswith("videos/") and name.endswith(".mp4")]
    assert sorted(map(pictures_and_times, exported)) == sorted(map(pictures_and_times, originals))


def test_clips_with_metadata_are_refused_where_nothing_may_be_changed(clips: Clips) -> None:
    with pytest.raises(ExportError, match=r"2 samples break the rule metadata"):
        clips.export(video_size=[128, 96], trainers=["musubi"], media="original")


def test_the_check_names_a_clip_with_metadata(clips: Clips) -> None:
    facts = clip_facts(next((clips.folder.parent / "clips").iterdir()).read_bytes())
    assert set(facts.faults) == {"metadata"} and "location" in facts.faults["metadata"]


@pytest.mark.parametrize("layout", ["pairs", "hf", "webdataset"])
@pytest.mark.parametrize("media", ["safe", "exact"])
def test_photos_lose_the_place_where_they_were_taken(dataset: Dataset, tmp_path: Path, media: str, layout: str) -> None:
    for n, format in enumerate(("JPEG", "PNG", "WEBP")):
        exif = Image.Exif()
        exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.6), 3: "E", 4: (2.0, 17.0, 40.2), 29: "2026:11:27"})
        exif[0x010F] = "camera-of-someone"
        picture = Image.effect_noise((600, 400), 40 + n).convert("RGB")
        picture.save(dataset.source / f"gps{n}.{format.lower()}", format, exif=exif)
    dataset.run()
    training = Training(dataset, tmp_path / "project")
    training.select(SUBSET.replace("= 'ok'", "= 'ok' and samples.uri like '%gps%'"))
    done = training.export(media=media, layout=layout, resolution=512, mask="sample_id", control="sample_id")
    assert done.receipt.samples == 3
    for name, data in tree(place(done)).items():
        assert b"camera-of-someone" not in data and b"2026:11:27" not in data, name
        if name.endswith((".jpg", ".png")):
            with Image.open(io.BytesIO(data)) as picture:
                assert not picture.getexif() and not picture.getexif().get_ifd(0x8825), name
