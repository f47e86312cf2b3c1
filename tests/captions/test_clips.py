"""Clips and films are asked about with several pictures of each, in order of time."""

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.declarations import Dataset, VideoDataset
from arot_assets.media.media import MEDIA
from arot_assets.media.medium import File
from resources.defaults import Resources
from tests.captions.conftest import FIELDS, Asked
from tests.conftest import DATA, Dataset
from tests.servers.vlm import Request, VlmServerDouble


@pytest.fixture
def clips(resources: Resources, server: VlmServerDouble, tmp_path: Path) -> Asked:
    """A captioner of a moving clip, and of one that is stored lying on its side."""
    source, prompt = tmp_path / "clips", tmp_path / "clip.jinja"
    source.mkdir()
    for name in ("slideshow.mp4", "rotated_90.mp4"):
        shutil.copyfile(DATA / "films" / name, source / name)
    prompt.write_text("Describe these {{ '%.1f' % sample.seconds }} seconds.")
    dataset = Dataset(resources, source)
    films = VideoDataset.model_validate({"name": "d", "source": str(source), "settle_seconds": 0})
    dataset.declaration = films  # type: ignore[assignment]
    dataset.inventory()
    dataset.samples()
    return Asked(dataset, server, prompt)


def test_pictures_of_a_clip_are_sent_upright_in_order_of_time(clips: Asked) -> None:
    found = clips.run(stills=4, fields=FIELDS, price={"input": 2.0, "output": 8.0})
    assert (found.rows, found.computed, found.failures) == (2, 2, {})
    facts = clips.dataset.sql("select uri, width, height, printf('%.1f', seconds) from d.samples")
    questions = [request for request in clips.server.requests if request.image]
    assert len(questions) == 2
    for uri, width, height, seconds in facts:
        (one,) = (
            r for r in questions if f"Describe these {seconds} seconds." in r.text and sizes(r)[0] == (width, height)
        )
        expected = MEDIA["video"].moments(File.of(uri, Path(uri.removeprefix("file://"))), 4)
        assert sizes(one) == [(width, height)] * 4 and len(expected) == 4
        for sent, taken in zip(pictures(one), expected, strict=True):
            assert np.abs(np.asarray(sent, float) - taken).mean() < 8
    assert all(row["subject"] and row["cost"] > 0 for row in clips.rows())


def test_pictures_avoid_the_ends_and_are_those_of_their_times() -> None:
    path = DATA / "films" / "slideshow.mp4"
    every = MEDIA["video"].moments(File.of(path.name, path), 10_000)
    few = MEDIA["video"].moments(File.of(path.name, path), 3)
    places = [min(range(len(every)), key=lambda n: float(np.abs(every[n].astype(int) - one).mean())) for one in few]
    assert len(few) == 3 and places == sorted(places)
    assert not np.array_equal(few[0], few[2]), "pictures of different times"


def test_unchanged_clip_is_not_asked_again_and_other_stills_are(clips: Asked) -> None:
    clips.run(stills=4)
    assert sum(row["tokens_in"] for row in clips.rows()) == clips.server.tokens_in
    assert clips.run(stills=4).computed == 0
    assert clips.run(stills=2, image={"max_pixels": 10_000}).computed == 2
    last = clips.server.requests[-1]
    assert len(sizes(last)) == 2 and all(9_000 <= width * height <= 10_300 for width, height in sizes(last))
    assert clips.run(stills=3, stills_fps=0.01).computed == 2
    assert len(sizes(clips.server.requests[-1])) == 1, "by length, at least one"


def test_clip_that_cannot_be_read_is_a_failed_row_and_costs_nothing(clips: Asked) -> None:
    (clips.dataset.source / "slideshow.mp4").write_bytes(b"no film")
    found = clips.run(stills=4)
    assert found.rows == 2 and sum(found.failures.values()) == 1
    assert len({request.image for request in clips.server.requests if request.image}) == 1
    (failed,) = (row for row in clips.rows() if row["status"] == "failed")
    assert failed["reason"] and not failed["tokens_in"]


def test_rate_needs_a_cap_and_pictures_beside_are_for_images(clips: Asked) -> None:
    for given in ({"stills_fps": 1.0}, {"stills": 2, "beside": ["{{ sample.uri }}"]}):
        with pytest.raises(ValueError, match="stills"):
            CaptionsDeclaration.model_validate(clips.declaration().model_dump() | given)


def pictures(request: Request) -> list[Image.Image]:
    """The pictures of a question, in order."""
    parts = [part for part in request.body["messages"][-1]["content"] if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))) for part in parts]


def sizes(request: Request) -> list[tuple[int, int]]:
    """Width and height of each."""
    return [picture.size for picture in pictures(request)]
