"""What lies in `deploy/` is what runs: Dagster's services as `compose.yaml` starts them, with their records in a real PostgreSQL.

The commands are read from the file; only addresses are this machine's. No container is built: that needs Docker.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TypeVar

import pytest
import yaml

from resources.tables import TableRef
from tests.conftest import REPOSITORY
from tests.end_to_end.conftest import Project
from tests.end_to_end.dagster_server import DagsterServer, wait_until_loaded
from tests.end_to_end.services import DEPLOY, command, end, workspace
from tests.servers.postgres import Postgres, postgres, programs
from tests.servers.swift import free_ports
from tests.waiting import finish, until, work_of

T = TypeVar("T")

pytestmark = pytest.mark.slow

SERVICES = ("code", "daemon", "webserver")
PICTURES = 6


@dataclass
class Site:
    """Services of one machine, and another machine's project that shares their store and records.

    Attributes:
        project: the services' project.
        records: PostgreSQL.
        page: the webserver.
        environment: variables of every process that uses them.
    """

    project: Project
    records: Postgres
    page: DagsterServer
    environment: dict[str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The three services and PostgreSQL, all up."""
    installed = programs()
    if installed is None:
        pytest.skip("PostgreSQL is not installed")
    project = Project(tmp_path_factory.mktemp("services"))
    shutil.rmtree(project.defs / "classifiers")
    shutil.rmtree(project.root / "dbt_like_sql" / "models")
    project.declare_dataset("demo", source="examples/images", metrics=["phash"])
    project.add_examples(PICTURES // 3)
    home = project.root / "home"
    home.mkdir()
    shutil.copy(DEPLOY / "dagster.yaml", home)
    code, page = free_ports(2)
    replaced = {
        "0.0.0.0": "127.0.0.1",
        "4000": str(code),
        "3000": str(page),
        "/opt/arot/workspace.yaml": str(workspace(project.root / "workspace.yaml", code)),
    }
    with ExitStack() as stack:
        records = stack.enter_context(postgres(installed))
        environment = {"DAGSTER_HOME": str(home), **records.environment}
        log = project.root / "services.log"
        output = stack.enter_context(log.open("w"))
        for name in SERVICES:
            process = subprocess.Popen(
                command(name, replaced),
                cwd=project.root,
                env=project.environment(**environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(end, process)
        server = DagsterServer(project, f"http://127.0.0.1:{page}", log)
        wait_until_loaded(server, process)
        yield Site(project, records, server, environment)


def test_services_and_another_machine_share_the_records_and_outlive_a_killed_postgresql(site: Site) -> None:
    def ended() -> set[str]:
        return {run for run, status in site.records.ask("select run_id, status from runs") if status == "SUCCESS"}

    def events() -> object:
        return site.records.ask("select count(*) from event_logs")

    first = site.page.launch("demo/inventory")
    until("the run", lambda: first in ended(), events, told=site.page.log.read_text)
    site.records.kill()
    site.records.start()
    # another machine: a Dagster home of its own with the same settings
    other = site.project.root / "other"
    other.mkdir()
    shutil.copy(DEPLOY / "dagster.yaml", other)
    site.project.arot("run", "demo", **site.environment | {"DAGSTER_HOME": str(other)})
    assert site.project.sql("select count(*) from demo.phash where status = 'ok'") == [(PICTURES,)]
    assert not list(other.rglob("*.db"))

    def told(ask: Callable[[], T]) -> T | None:
        with suppress(RuntimeError):  # a connection of the page's that ended with the server: the next one works
            return ask()
        return None

    assert until("the page", lambda: told(lambda: site.page.materializations("demo/phash")), events)
    again = until("a launch", lambda: told(lambda: site.page.launch("demo/inventory")), events)
    until("the run after it", lambda: again in ended(), events, told=site.page.log.read_text)


def test_postgresql_that_dies_in_the_middle_of_a_run_costs_no_shard(site: Site) -> None:
    project = site.project
    project.declare_dataset("more", source="examples/images", metrics=["phash"], shard_size=1)
    tables = project.resources.tables
    process = project.start("run", "more", **site.environment)
    until("a shard", lambda: tables.shards("more", "samples"), work_of(process.pid))
    first = TableRef("more", "samples", tables.shards("more", "samples")[0])
    made = tables.version(first)
    site.records.kill()
    site.records.start()
    told = finish(process)
    assert process.returncode in (0, 1) and "Traceback" not in told, told
    assert site.records.password not in told
    project.arot("run", "more", **site.environment)
    assert tables.version(first) == made, "not made again"
    assert project.sql("select count(*) from more.phash where status = 'ok'") == [(PICTURES,)]
    assert tables.list("leases") == []


def test_records_that_cannot_be_reached_are_one_error_without_the_password(site: Site) -> None:
    site.records.kill()
    try:
        for arguments in (("run", "demo"), ("doctor",)):
            told = site.project.arot(*arguments, status=1, **site.environment)
            assert f"port {site.records.port}" in told and "POSTGRES_HOST" in told
            assert site.records.password not in told and "Traceback" not in told
        unset = {k: v for k, v in site.environment.items() if k != "POSTGRES_HOST"}
        told = site.project.arot("run", "demo", status=1, **unset)
        assert "POSTGRES_HOST" in told and "not set" in told and "Traceback" not in told
    finally:
        site.records.start()


def test_the_settings_are_those_of_every_project_but_for_the_records() -> None:
    of_projects = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    deployed = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    records = deployed.pop("storage")["postgres"]["postgres_db"]
    assert records["password"] == {"env": "POSTGRES_PASSWORD"}
    assert deployed == of_projects


def test_systemd_and_compose_start_the_same_commands() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name in SERVICES:
        unit = (DEPLOY / "systemd" / f"arot-{name}.service").read_text()
        (started,) = re.findall(r"^ExecStart=/opt/arot/bin/(.*)$", unit, re.MULTILINE)
        told = started.replace("127.0.0.1", "0.0.0.0").replace("/etc/arot/", "/opt/arot/")
        assert told.split() == services[name]["command"]


def test_nothing_is_published_beyond_this_machine() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:3000:3000"]
