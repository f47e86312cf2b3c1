"""The sheet of worst mistakes shows images of the web as their dataset reaches them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from arot_assets.classifiers.report import mistake_sheet
from arot_assets.datasets.places import place_of
from resources.storage import Storage
from tests.classifiers.made import evaluation
from tests.conftest import EXAMPLES, Dataset
from tests.servers.http import Reply, WebServer


def test_pictures_come_from_the_cache_and_else_under_the_rules_of_their_dataset(
    make_dataset: Callable[..., Dataset], web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    photos = sorted(EXAMPLES.glob("photo/sea/*.jpg"))[:4]
    uris = [web.serve(f"/{photo.name}", Reply(body=photo.read_bytes())) for photo in photos]
    (tmp_path / "l.txt").write_text("\n".join(uris))
    dataset = make_dataset(tmp_path / "l.txt", urls={"allow_private": True})
    dataset.run()
    samples = dict(dataset.sql("select uri, sample_id from d.samples"))
    wrong = evaluation(0, 4)
    mistakes = (replace(m, sample_id=samples[uri]) for m, uri in zip(wrong.mistakes, uris, strict=True))
    wrong = replace(wrong, mistakes=tuple(mistakes))
    of_sample = {sample_id: uri for uri, sample_id in samples.items()}

    place = place_of(Storage(), dataset.resources.warehouse, "d")
    before = len(web.requests)
    assert mistake_sheet(place, wrong, of_sample) is not None and len(web.requests) == before
    shutil.rmtree(tmp_path / "cache")
    assert mistake_sheet(replace(place, storage=Storage()), wrong, of_sample) is None, (
        "private addresses are refused unless the dataset allows"
    )
    assert mistake_sheet(place, wrong, of_sample) is not None and len(web.requests) == before + 4
