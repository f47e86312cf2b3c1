"""Places for the notebook functions: a folder, a bucket, a repository, and a web server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.http import WebServer
from tests.servers.hub import Hub
from tests.servers.swift import Swift


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads of one test are not found by the next."""
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=["local", "s3", "hf"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty place on each scheme that can be written."""
    if request.param == "local":
        (tmp_path / "place").mkdir()
        yield str(tmp_path / "place")
        return
    if request.param == "hf":
        server: Hub = request.getfixturevalue("hub")
        server.create("owner/repo")
        with server.as_default(tmp_path / "home", server.token):
            yield "hf://datasets/owner/repo/place"
        return
    swift: Swift = request.getfixturevalue("swift")
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    yield f"s3://{request.getfixturevalue('bucket')}/place"


@pytest.fixture
def open_web(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    """A web server on an address that this session may reach."""
    monkeypatch.setenv("AROT_HTTP_ALLOW_PRIVATE", "1")
    return web
