"""Films on S3: the same clips as from disk."""

from pathlib import Path

import pytest

from arot_assets.declarations import VideoDataset
from resources.storage import Storage
from resources.tables import TableRef
from tests.clips.conftest import ClipsOfFilms
from tests.servers.swift import Swift


def test_clips_of_films_on_s3_are_those_of_the_same_films_on_disk(
    of_films: ClipsOfFilms, swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    near = of_films.cut()
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    source = f"s3://{bucket}/films"
    Storage().sync(of_films.films.source, source)
    tables = of_films.resources.tables
    for name in of_films.files():
        of_films.resources.storage.delete(f"{of_films.clips.source}/{name}")
    far = ClipsOfFilms(tmp_path, Path("."))
    far.films = VideoDataset.model_validate({"name": "films", "source": source, "settle_seconds": 0})
    far.take(far.films)
    assert {
        row["uri"][:5] for row in tables.read(TableRef("films", "inventory")).to_pylist() if row["state"] == "present"
    } == {"s3://"}
    assert far.cut() == near
