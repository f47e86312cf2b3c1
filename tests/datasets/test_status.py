"""What `arot status` says of the rows of tables, and what it reads for that."""

from pathlib import Path

import pytest

from arot_assets.datasets.steps import samples_state
from arot_assets.status import failures_by_reason
from arot_assets.steps import Look
from resources.warehouse import Warehouse
from resources.warehouse.lake import Connection
from tests.conftest import Dataset


@pytest.fixture
def asked(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The dataset with a broken picture, and what the lake is asked from now on."""
    (dataset.source / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    dataset.run("phash")
    found: list[str] = []
    connect, execute = Warehouse.connect, Connection.execute

    def opening(self: Warehouse, query: str = "") -> Connection:
        found.append("connect")
        return connect(self, query)

    def asking(self: Connection, sql: str, parameters=()):  # type: ignore[no-untyped-def]
        found.append(sql)
        return execute(self, sql, parameters)

    monkeypatch.setattr(Warehouse, "connect", opening)
    monkeypatch.setattr(Connection, "execute", asking)
    return found


def test_rows_and_reasons_of_all_tables_open_the_lake_once(dataset: Dataset, asked: list[str]) -> None:
    with Look(dataset.resources) as look:
        state = samples_state(look, dataset.declaration)
        reasons = {table: failures_by_reason(look, "d", table) for table in ("samples", "phash", "nothing")}
    assert (state.rows, state.failed) == (13, 1)
    ((reason, rows),) = reasons["samples"]
    assert reason.startswith("corrupt: ") and rows == 1
    assert reasons["phash"] == reasons["nothing"] == []
    assert asked.count("connect") == 1
    assert len([sql for sql in asked if '"phash"' in sql and "reason" in sql]) == 0, "no row of it failed"


def test_objects_that_left_are_not_counted(dataset: Dataset, source: Path) -> None:
    dataset.run()
    next(source.rglob("*.jpg")).unlink()
    dataset.inventory()
    with Look(dataset.resources) as look:
        assert samples_state(look, dataset.declaration).rows == 11
