"""A captioner over a dataset, without Dagster."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from arot_assets.captions.budget import Budget
from arot_assets.captions.build import Captioner, build_captions
from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.models import threads_of, vlm_of
from arot_assets.captions.prompt import read_prompt
from arot_assets.metrics.table_builder import MetricResult
from resources.tables import TableRef
from tests.conftest import Dataset
from tests.servers.vlm import MODEL, VlmServerDouble

FIELDS = {
    "type": "object",
    "properties": {
        "subject": {"type": "string", "description": "what it shows"},
        "people": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["subject", "people", "tags"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that were sent are kept for the test alone."""
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[VlmServerDouble]:
    """A server that answers everything well until told otherwise."""
    with VlmServerDouble() as server:
        yield server


class Asked:
    """A captioner named ``caption`` of a dataset.

    Attributes:
        budget: of the last run.
    """

    def __init__(self, dataset: Dataset, server: VlmServerDouble, prompt: Path) -> None:
        self.dataset, self.server, self.prompt = dataset, server, prompt
        self.budget: Budget | None = None

    def declaration(self, **fields: Any) -> CaptionsDeclaration:
        """The declaration, with other fields."""
        given: dict[str, Any] = {"name": "caption", "dataset": "d", "prompt": str(self.prompt)}
        if "local" not in fields:
            server = {"url": self.server.url, "model": MODEL, "concurrency": 4, "seconds": 20}
            given["server"] = server | fields.pop("server", {})
        return CaptionsDeclaration.model_validate(given | fields)

    def run(self, retry: str | None = None, **fields: Any) -> MetricResult:
        """Ask about what is missing, in all shards; gives the sums."""
        declaration, r = self.declaration(**fields), self.dataset.resources
        self.budget = Budget(declaration.budget, declaration.price)
        captioner = Captioner(
            declaration, read_prompt(declaration.prompt_path), vlm_of(declaration), self.budget, threads_of(declaration)
        )
        total = MetricResult()
        for shard in self.dataset.shards():
            one = build_captions(r.storage, r.warehouse, captioner, shard, retry)
            for name in ("rows", "computed", "copied", "kept"):
                setattr(total, name, getattr(total, name) + getattr(one, name))
            for reason, count in one.failures.items():
                total.failures[reason] = total.failures.get(reason, 0) + count
        return total

    def rows(self) -> list[dict[str, Any]]:
        """All rows of its table."""
        tables = self.dataset.resources.tables
        return [
            row
            for shard in tables.shards("d", "caption")
            for row in tables.read(TableRef("d", "caption", shard)).to_pylist()
        ]


@pytest.fixture
def asked(dataset: Dataset, server: VlmServerDouble, tmp_path: Path) -> Asked:
    """A captioner of twelve photos with a plain prompt."""
    prompt = tmp_path / "short.jinja"
    prompt.write_text("Describe the image in one sentence.")
    dataset.inventory()
    dataset.samples()
    return Asked(dataset, server, prompt)


@pytest.fixture
def make_asked(server: VlmServerDouble, tmp_path: Path, make_dataset: Callable[..., Dataset]) -> Callable[..., Asked]:
    """Makes captioners of other datasets."""

    def make(source: Path, text: str = "Describe it.", **fields: object) -> Asked:
        prompt = tmp_path / "other.jinja"
        prompt.write_text(text)
        dataset = make_dataset(source, **fields)
        dataset.inventory()
        dataset.samples()
        return Asked(dataset, server, prompt)

    return make
