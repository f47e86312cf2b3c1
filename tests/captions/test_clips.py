"""Clips and films are asked about with several pictures of each, in order of time."""

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.stills import remove_stills
from arot_assets.declarations import Dataset, VideoDataset
from arot_assets.media.file import File
from arot_assets.media.media import MEDIA
from arot_assets.media.video import isolated
from arot_assets.media.video.decode import COMBED
from arot_assets.media.video.kernels import combing
from arot_assets.takedown import TakedownScope, forget
from resources.defaults import Resources
from resources.storage.cache import Cache, default_bytes, default_folder
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


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the films that are decoded."""
    names: list[str] = []
    real = isolated.moments

    def counted(path: Path, *arguments: Any) -> Any:
        names.append(path.name)
        return real(path, *arguments)

    monkeypatch.setattr(isolated, "moments", counted)
    return names


def test_another_prompt_or_schema_asks_again_about_the_same_pictures_and_decodes_nothing(
    clips: Asked, decodes: list[str]
) -> None:
    clips.run(stills=4)
    assert sorted(decodes) == ["rotated_90.mp4", "slideshow.mp4"]
    first = {request.image for request in clips.server.requests if request.image}
    decodes.clear()
    clips.prompt.write_text("What happens?")
    assert clips.run(stills=4).computed == 2 and clips.run(stills=4, fields=FIELDS).computed == 2
    (clips.dataset.source / "slideshow.mp4").rename(clips.dataset.source / "renamed.mp4")
    clips.dataset.inventory()
    clips.dataset.samples()
    clips.prompt.write_text("What happens here?")
    found = clips.run(stills=4)
    assert found.computed == 2 and decodes == []
    assert {request.image for request in clips.server.requests if request.image} == first
    assert clips.run(stills=3).computed == 2 and len(decodes) == 2, "other pictures are decoded"


def test_pictures_of_what_is_taken_down_are_not_kept(clips: Asked, decodes: list[str]) -> None:
    clips.run(stills=2)
    (gone, uri), (other, _) = clips.dataset.sql("select sample_id, uri from d.samples order by uri")
    done = forget(clips.dataset.resources, TakedownScope({gone: [uri]}, frozenset()), "asked for")
    assert done.cached == 1
    cache = Cache(default_folder(), default_bytes())
    assert remove_stills(cache, [gone]) == 0 and remove_stills(cache, [other]) == 1


def test_pictures_of_interlaced_film_have_no_combs(clips: Asked) -> None:
    for name in ("slideshow.mp4", "rotated_90.mp4"):
        (clips.dataset.source / name).unlink()
    for name in ("interlaced.ts", "interlaced_unflagged.mp4"):
        shutil.copyfile(DATA / "films" / name, clips.dataset.source / name)
        with av.open(str(DATA / "films" / name)) as raw:
            stored = [frame.to_ndarray(format="gray") for frame in raw.decode(video=0)][10:80:20]
        assert np.median([combing(y, y.shape[1]) for y in stored]) > COMBED
    clips.dataset.inventory()
    clips.dataset.samples()
    assert clips.run(stills=4).computed == 2
    asked = [pictures(request) for request in clips.server.requests if request.image][-2:]
    for sent in (picture for one in asked for picture in one):
        luma = np.asarray(sent.convert("L"))
        assert combing(luma, luma.shape[1]) < 0.8 < COMBED


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
