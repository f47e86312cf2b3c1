"""Pytest fixtures that lend the servers of this package: import what a test module or conftest needs.

Belongs here: fixtures only; the servers are in modules of their own and work without pytest.

``from tests.servers.fixtures import bucket, swift`` in a ``conftest.py`` makes them known to the tests below it. Do that in
one place for all: a session fixture that is imported twice starts its server twice.
"""

import sys
import uuid
from collections.abc import Iterator

import pytest

from tests.servers.http import WebServer
from tests.servers.hub import Hub
from tests.servers.swift import Swift


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """One S3 server for the session; each test takes a bucket of its own (``bucket``)."""
    if sys.platform != "linux":
        pytest.skip("OpenStack Swift runs on Linux only")
    with Swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def bucket(swift: Swift) -> str:
    """The name of a new, empty bucket."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    swift.client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A Hub without repositories; clients are given its ``endpoint``, or run inside ``hub.as_default(…)``."""
    with Hub(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A web server without pages."""
    with WebServer() as server:
        yield server
