"""One decode of each film fills all tables of a dataset of films, and only what changed is decoded."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from arot_assets.datasets.assets import dataset_assets
from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.datasets.steps import CONSERVATION
from arot_assets.declarations import VideoDataset
from arot_assets.declarations.kinds import kind_of
from arot_assets.media.video import isolated
from arot_assets.metrics.assets import metric_assets
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.table_builder import MetricResult
from arot_assets.steps import Look
from resources.dagster import dagster_resources
from resources.defaults import Resources
from resources.storage import StorageError
from resources.tables import TableRef
from tests.conftest import DATA

FILMS = DATA / "films"
NAMES = ("cuts_jump.mp4", "one_frame.mp4", "editlist.mp4", "damaged_middle.mp4", "not_a_video.mp4")


class Films:
    """A dataset of a few films, worked on as any other."""

    def __init__(self, resources: Resources, source: Path) -> None:
        self.resources, self.source = resources, source
        self.declaration = VideoDataset.model_validate(
            {"name": "films", "source": str(source), "settle_seconds": 0, "metrics": ["phash"]}
        )

    def take(self) -> None:
        r = self.resources
        take_inventory(r.storage, r.tables, self.declaration, datetime.now(UTC))
        for shard in set(r.tables.read(TableRef("films", "inventory"))["shard"].to_pylist()):
            build_samples(r.storage, r.tables, self.declaration, shard)

    def decode(self, shard: str = "00000", *metrics: str) -> dict[str, MetricResult]:
        r = self.resources
        wanted = [get_metric(name) for name in metrics or ("phash",)]
        return build_files(r.storage, r.warehouse, r.models, self.declaration, shard, wanted)

    def rows(self, table: str) -> list[dict[str, Any]]:
        tables = self.resources.tables
        return [
            row
            for shard in tables.shards("films", table)
            for row in tables.read(TableRef("films", table, shard)).to_pylist()
        ]


@pytest.fixture
def films(resources: Resources, tmp_path: Path) -> Films:
    source = tmp_path / "films"
    source.mkdir()
    for name in NAMES:
        shutil.copyfile(FILMS / name, source / name)
    found = Films(resources, source)
    found.take()
    return found


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the films that are decoded."""
    names: list[str] = []
    real = isolated.measured

    def counted(path: Path, *arguments: Any, **wanted: Any) -> Any:
        names.append(path.name)
        return real(path, *arguments, **wanted)

    monkeypatch.setattr(isolated, "measured", counted)
    yield names


def test_a_film_is_decoded_once_for_all_its_tables_and_never_again(films: Films, decodes: list[str]) -> None:
    films.decode()
    assert sorted(decodes) == ["cuts_jump.mp4", "damaged_middle.mp4", "editlist.mp4", "one_frame.mp4"]
    names = {row["sample_id"]: Path(row["uri"]).name for row in films.rows("samples")}
    decoded = {names[row["sample_id"]]: row for row in films.rows("decoded")}
    frames: dict[str, list[dict[str, Any]]] = {}
    for row in films.rows("frames"):
        frames.setdefault(names[row["sample_id"]], []).append(row)
    assert {name: len(rows) for name, rows in frames.items()} == {
        "cuts_jump.mp4": 144,
        "editlist.mp4": 110,
        "damaged_middle.mp4": 119,
        "one_frame.mp4": 1,
    }
    assert {name: row["frames_decoded"] for name, row in decoded.items()} == {n: len(r) for n, r in frames.items()}
    assert all([row["n"] for row in rows] == list(range(len(rows))) for rows in frames.values())
    assert decoded["damaged_middle.mp4"]["damaged_from"] == [62]
    assert next(row["n"] for row in frames["damaged_middle.mp4"] if row["damaged"]) == 62
    stills = [(row["sample_id"], row["n"]) for row in films.rows("stills")]
    assert [(row["sample_id"], row["n"]) for row in films.rows("phash")] == stills
    decodes.clear()
    (films.source / "editlist.mp4").rename(films.source / "renamed.mp4")
    films.take()
    for shard in ("00000", "00001"):
        assert all(result.computed == 0 for result in films.decode(shard).values())
    assert decodes == []


def test_a_metric_that_is_added_decodes_and_the_tables_of_the_film_stay(films: Films, decodes: list[str]) -> None:
    films.decode()
    before = films.rows("frames")
    films.decode("00000", "phash", "cv2")
    assert films.rows("frames") == before and len(decodes) == 8
    assert {row["status"] for row in films.rows("cv2")} == {"ok"}


@pytest.mark.parametrize("kept", [1, 0])
def test_work_that_was_stopped_between_two_tables_is_done_again(films: Films, decodes: list[str], kept: int) -> None:
    films.decode()
    expected = [{**row, "computed_at": None} for row in films.rows("frames")]
    tables = films.resources.tables
    last = TableRef("films", "decoded", "00000")
    tables.write(tables.read(last).slice(0, kept), last, tables.footer(last))
    decodes.clear()
    films.decode()
    assert len(decodes) == 4 - kept
    assert [{**row, "computed_at": None} for row in films.rows("frames")] == expected


def test_a_decoder_that_stalls_is_a_failed_row(films: Films, monkeypatch: pytest.MonkeyPatch) -> None:
    real = isolated.measured

    def stalled(path: Path, *arguments: Any, **wanted: Any) -> Any:
        if path.name == "cuts_jump.mp4":
            raise StorageError("decoder stalled: nothing came for 60 s")
        return real(path, *arguments, **wanted)

    monkeypatch.setattr(isolated, "measured", stalled)
    films.decode()
    for table in ("decoded", "phash"):
        (failed,) = [row for row in films.rows(table) if row["status"] == "failed"]
        assert failed["reason"] == "unreadable: decoder stalled: nothing came for 60 s"


def test_a_model_whose_weights_are_not_here_waits_and_the_films_are_decoded_for_the_rest(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_MODELS", str(tmp_path / "no models"))
    source = tmp_path / "one"
    source.mkdir()
    shutil.copyfile(FILMS / "one_frame.mp4", source / "one_frame.mp4")
    films = Films(resources, source)
    films.declaration = films.declaration.model_copy(update={"metrics": ["phash", "open_nsfw"]})
    films.take()
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("films_shards", ["00000"])

    def built(*selected: str) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [*dataset_assets(films.declaration), *metric_assets(films.declaration, resources.models)],
            resources=dagster_resources(resources),
            instance=instance,
            selection=dg.AssetSelection.assets(*(["films", name] for name in selected)),
            tags={"dagster/asset_partition_range_start": "00000", "dagster/asset_partition_range_end": "00000"},
            raise_on_error=False,
        )

    assert built("frames", "steps", "decoded", "phash", "open_nsfw").success
    assert len(films.rows("decoded")) == len(films.rows("phash")) == 1
    assert not resources.tables.exists(TableRef("films", "open_nsfw", "00000"))
    assert not built("open_nsfw").success, "who asks for it alone is told how to fetch it"


def test_only_tables_of_one_row_a_film_join_the_wide_view(films: Films) -> None:
    films.decode()
    warehouse = films.resources.warehouse
    warehouse.refresh()
    with warehouse.connect() as con:
        columns = {row[0] for row in con.sql("describe films.wide").fetchall()}
        assert con.sql("select count(*) from films.wide").fetchone() == (len(NAMES),)
        assert "decoded__frames_decoded" in columns and not any(c.startswith(("frames__", "phash__")) for c in columns)


def test_the_graph_and_the_assets_agree(films: Films) -> None:
    films.decode()
    steps = {key: step for step in kind_of(type(films.declaration)).steps(films.declaration) for key in step.keys}
    with Look(films.resources) as look:
        assert look.of(steps["films", "frames"]).current and look.of(steps["films", "phash"]).current
    definitions = kind_of(type(films.declaration)).definitions(films.declaration)
    keys = {tuple(spec.key.path) for asset in definitions.assets or () for spec in asset.specs}  # type: ignore[union-attr]
    assert keys == set(steps)
    checks = {(tuple(k.asset_key.path), k.name) for c in definitions.asset_checks or () for k in c.check_keys}
    assert checks == {(key, check.name) for step in steps.values() for key, of in step.checks.items() for check in of}
    footer = films.resources.tables.footer(TableRef("films", "frames", "00000"))
    assert footer["grain"] == "frame" and json.loads(footer["outside"]) == {}


def lose(films: Films, table: str, keep: Callable[[pa.Table], pa.Table]) -> None:
    """Take rows out of a table behind its back."""
    tables, ref = films.resources.tables, TableRef("films", table, "00000")
    tables.write(keep(tables.read(ref)), ref, tables.footer(ref))


def failing(films: Films) -> set[str]:
    """The tables whose check of conservation fails."""
    definitions = kind_of(type(films.declaration)).definitions(films.declaration)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("films_shards", ["00000"])
        done = dg.materialize(
            [*(definitions.assets or ()), *(definitions.asset_checks or ())],  # type: ignore[list-item]
            instance=instance,
            resources=dagster_resources(films.resources),
            selection=dg.AssetSelection.checks(*(k for c in definitions.asset_checks or () for k in c.check_keys)),
            raise_on_error=False,
        )
        found = done.get_asset_check_evaluations()
    assert len(found) > 5
    return {e.asset_key.path[-1] for e in found if not e.passed and e.check_name == CONSERVATION}


def test_a_film_or_a_frame_that_is_lost_fails_the_check_of_its_table(films: Films) -> None:
    films.decode()
    assert failing(films) == set()
    lose(films, "frames", lambda table: table.filter(pc.field("n") != 3))
    assert failing(films) == {"frames"}
    lose(films, "decoded", lambda table: table.slice(1))
    assert "decoded" in failing(films)
    lose(films, "samples", lambda table: table.slice(1))
    assert "samples" in failing(films)
