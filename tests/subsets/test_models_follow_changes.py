"""What a person changes beside the tables is followed by automation: a model's text, a model put back, a file that it reads."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from arot_assets.subsets.assets import model_key, sql_model_assets
from arot_assets.subsets.leftovers import leftover_models, remove_models
from arot_assets.subsets.load import load_project
from resources.compute import Local
from resources.tables import Tables
from resources.warehouse import Warehouse
from sensors.files import file_sensor
from tests.subsets.conftest import ProjectWriter

SAMPLES = dg.AssetKey(["demo", "samples"])
TEXT = "select count(*) as n from {{ source('demo', 'samples') }} where status <> 'ok'"


class Daemon:
    """Ticks of the automation conditions and of the sensor of files over one project, whose requests are run at once."""

    def __init__(
        self, write: ProjectWriter, tables: Tables, warehouse: Warehouse, instance: dg.DagsterInstance
    ) -> None:
        self.write, self.tables, self.warehouse, self.instance = write, tables, warehouse, instance
        self.cursor: object = None
        self.asked_keys: set[str] = set()

    def reload(self, files: dict[str, str]) -> None:
        """Write the project, and load the definitions anew."""
        self.project = load_project(self.write(files))
        self.project.require_whole()

        @dg.asset(key=SAMPLES)
        def samples() -> None: ...

        self.definitions = dg.Definitions(
            [samples, *sql_model_assets(self.project)],
            resources={"compute": Local(), "tables": self.tables, "warehouse": self.warehouse},
        )

    def settle(self) -> list[str]:
        """Run what is asked for until nothing is; gives what was asked for."""
        asked: list[str] = []
        for _ in range(10):
            result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)  # type: ignore[arg-type]
            self.cursor = result.cursor
            names = [n for n in self.project.models if result.get_num_requested(model_key(n))]
            names += self.look()
            if not names:
                return asked
            asked += names
            job = self.definitions.resolve_implicit_global_asset_job_def()
            keys = [model_key(n) for n in names]
            job.execute_in_process(instance=self.instance, asset_selection=keys, raise_on_error=False)
        raise AssertionError(f"no rest: {asked}")

    def look(self) -> list[str]:
        """One tick of the sensor: the models that it asks for. A run key that was there before asks for nothing, as in Dagster."""
        sensor = file_sensor(self.project, [])
        if sensor is None:
            return []
        with dg.build_sensor_context(self.instance, resources={"tables": self.tables}) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        new = [r for r in result.run_requests or () if r.run_key not in self.asked_keys]
        self.asked_keys |= {str(r.run_key) for r in new}
        return [key.path[-1] for r in new for key in r.asset_selection or ()]

    def rows(self, model: str) -> list[tuple[object, ...]]:
        """The rows of a model as everybody sees them."""
        with self.warehouse.connect() as con:
            return con.execute(f"select * from main.{model}").fetchall()


@pytest.fixture
def daemon(write_project: ProjectWriter, demo: Tables, warehouse: Warehouse) -> Iterator[Daemon]:
    """A daemon over an instance in which ``demo/samples`` is there."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(SAMPLES))
        yield Daemon(write_project, demo, warehouse, instance)


def test_changed_text_is_built_again(daemon: Daemon) -> None:
    files = {"models/textual.sql": TEXT, "models/below.sql": "select n + 1 as m from {{ ref('textual') }}"}
    daemon.reload(files)
    assert set(daemon.settle()) == {"textual", "below"} and daemon.rows("textual") == [(13,)]
    daemon.reload({**files, "models/textual.sql": TEXT.replace("status <> 'ok'", "width > 300")})
    assert daemon.settle()[0] == "textual"
    (count,) = daemon.rows("textual")
    assert count != (13,) and daemon.rows("below") == [(count[0] + 1,)]  # type: ignore[operator]
    assert daemon.settle() == []


def test_model_that_was_removed_and_put_back_is_built_again(daemon: Daemon) -> None:
    daemon.reload({"models/textual.sql": TEXT, "models/other.sql": "select 1 as one"})
    daemon.settle()
    (daemon.project.folder / "models" / "textual.sql").unlink()
    daemon.reload({"models/other.sql": "select 1 as one"})
    assert daemon.settle() == []
    gone = leftover_models(daemon.project, daemon.tables)
    remove_models(gone, daemon.tables, daemon.warehouse)  # as `arot run` does
    daemon.instance.wipe_assets([model_key(n) for n in gone])
    assert gone == ["textual"] and daemon.settle() == []
    daemon.reload({"models/textual.sql": TEXT})
    assert daemon.settle() == ["textual"] and daemon.rows("textual") == [(13,)]


def test_model_that_was_away_while_its_table_changed_is_built_again(daemon: Daemon) -> None:
    files = {"models/textual.sql": TEXT, "models/other.sql": "select 1 as one"}
    daemon.reload(files)
    daemon.settle()
    (daemon.project.folder / "models" / "textual.sql").unlink()
    daemon.reload({"models/other.sql": "select 1 as one"})
    daemon.settle()
    daemon.instance.report_runless_asset_event(dg.AssetMaterialization(SAMPLES))
    daemon.settle()
    daemon.reload(files)
    assert daemon.settle() == ["textual"]


@pytest.mark.parametrize("text", ["select * from read_csv('scores.csv')", "select * from 'scores.csv'"])
def test_changed_file_is_asked_for_once_and_what_reads_the_model_follows(daemon: Daemon, text: str) -> None:
    files = {"models/scores.sql": text, "models/below.sql": "select max(score) as most from {{ ref('scores') }}"}
    daemon.reload({**files, "scores.csv": "name,score\na,1\n"})
    daemon.settle()
    assert daemon.rows("below") == [(1,)] and daemon.look() == []
    daemon.reload({"scores.csv": "name,score\na,1\nb,25\n"})
    assert daemon.settle() == ["scores", "below"] and daemon.rows("below") == [(25,)]
    Path(daemon.project.folder / "scores.csv").unlink()
    assert daemon.settle() == ["scores"], "it fails, and is not asked for again"
    daemon.reload({"scores.csv": "name,score\na,7\n"})
    daemon.settle()
    assert daemon.rows("below") == [(7,)]
