"""Every client at the S3 server of the tests."""

from pathlib import Path

import pytest

from tests.servers.fixtures import bucket, swift, web  # noqa: F401
from tests.servers.swift import Swift


@pytest.fixture(autouse=True)
def at_swift(swift: Swift, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every client finds the test server; nothing of this machine's configuration is seen."""
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(bucket: str) -> str:
    """An empty bucket as a URI."""
    return f"s3://{bucket}"
