"""A full disk for what is fetched ends the work with its error: no row says that a film could not be read."""

from contextlib import suppress
from pathlib import Path

import pytest

from arot_assets.datasets.samples import read_sample
from arot_assets.media.file import Limits
from arot_assets.media.video.medium import VIDEO
from resources.storage import Storage, StorageError
from resources.storage.http.settings import HttpSettings
from tests.conftest import DATA
from tests.servers.http import Reply, WebServer


def test_film_that_finds_no_room_on_this_machine_has_no_row(
    web: WebServer, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = web.serve("/a.mp4", Reply(body=(DATA / "films" / "camera.mp4").read_bytes(), etag="v1"))
    monkeypatch.setenv("AROT_CACHE", str(small_disk / "cache"))
    filler = small_disk / "filler"
    with suppress(OSError):
        filler.write_bytes(bytes(1 << 21))
    storage = Storage(http=HttpSettings(allow_private=True))
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        read_sample(storage, VIDEO, Limits(), uri, [])
    filler.unlink()
    assert read_sample(storage, VIDEO, Limits(), uri, [])["status"] == "ok"
