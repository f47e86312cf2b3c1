"""A project whose models come from the loopback Hub."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from arot_assets.project import init_project
from resources.models import Models
from resources.models.entries import CATALOGUE, TYPE
from resources.storage import Storage
from resources.storage.hub.settings import HubSettings
from tests.servers.fixtures import hub  # noqa: F401
from tests.servers.hub import Hub


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a new project, which is worked on."""
    init_project(tmp_path / "p")
    (tmp_path / "p" / "models").mkdir(exist_ok=True)
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "p"))
    monkeypatch.setenv("AROT_MODELS", str(tmp_path / "weights"))
    return tmp_path / "p"


@pytest.fixture
def models(hub: Hub, project: Path, tmp_path: Path) -> Iterator[Models]:
    """The resource, its Hub on loopback."""
    with hub.as_default(tmp_path / "home"):
        yield Models(device="cpu", storage=Storage(hub=HubSettings(endpoint=hub.endpoint)))


@pytest.fixture
def published(hub: Hub, project: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Publishes a model and writes its entry into the project."""

    def publish(name: str, make: Callable[[Path], None], gated: bool = False, **fields: Any) -> dict[str, Any]:
        folder = tmp_path / "made" / name
        folder.mkdir(parents=True)
        make(folder)
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        repository = hub.create(f"test/{name}", "model", gated=gated)
        commit = hub.commit(repository, files)
        hashes = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
        entry = {
            "weights": {"repo": f"test/{name}", "revision": commit.id, "files": hashes},
            "licence": "Apache-2.0",
            "parameters": 30_000,
            "reference": "its model card",
            **fields,
        }
        (project / "models" / f"{name}.yaml").write_text(yaml.safe_dump({"type": TYPE, "attributes": entry}))
        return entry

    return publish


@pytest.fixture
def of_catalogue(published: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Publishes a small model in the layout of an entry of the catalogue, which is otherwise used as it is."""

    def publish(name: str, make: Callable[[Path], None], **changed: Any) -> dict[str, Any]:
        fields = yaml.safe_load((CATALOGUE / f"{name}.yaml").read_text())["attributes"]
        return published(name, make, **{k: v for k, v in (fields | changed).items() if k != "weights"})

    return publish
