"""Reserving tables: one holder at a time, on a disk and on S3, whatever is killed and whatever clocks say."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from arot_assets.datasets.turns import in_turn
from resources.storage import Storage
from resources.storage.s3.settings import S3Settings
from resources.tables import Hold, Holder, LeaseLostError, TableRef, Tables
from resources.tables.leases import Leases
from tests.conftest import REPOSITORY
from tests.servers.faults import FaultProxy, Faults
from tests.servers.fixtures import bucket, swift  # noqa: F401
from tests.servers.swift import Swift

TABLE = TableRef("demo", "cv2", "00000")
OTHER = TableRef("demo", "phash", "00000")
HOLDER = """
import sys, time
from resources.storage import Storage
from resources.tables import Hold, TableRef, Tables
hold = Tables(Storage(), sys.argv[1]).leases.take([TableRef("demo", "cv2", "00000")], "11112222-run")
assert isinstance(hold, Hold)
print("held", flush=True)
sys.stdin.read()
hold.end()
"""


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


@pytest.fixture(params=["disk", "swift"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store."""
    if request.param == "disk":
        return str(tmp_path / "store")
    server: Swift = request.getfixturevalue("swift")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{request.getfixturevalue('bucket')}/lake"


@pytest.fixture
def clock() -> Clock:
    """The clock of ``first`` and ``second``."""
    return Clock()


@pytest.fixture
def first(root: str, clock: Clock) -> Leases:
    """One process; it gives no sign of life by itself within the test."""
    return Leases(Storage(), root, 600, clock)


@pytest.fixture
def second(root: str, clock: Clock) -> Leases:
    """Another one."""
    return Leases(Storage(), root, 600, clock)


def take(leases: Leases, *places: TableRef) -> Hold:
    hold = leases.take(places or (TABLE,), "0a1b2c3d-run")
    assert isinstance(hold, Hold)
    return hold


def files(root: str) -> list[str]:
    """The leases that lie in a store."""
    return Storage().names(f"{root}/leases")


def test_second_comer_is_told_who_has_the_table_and_gets_it_afterwards(
    first: Leases, second: Leases, root: str
) -> None:
    with take(first):
        holder = second.take([TABLE])
        assert isinstance(holder, Holder)
        assert str(holder).startswith("run 0a1b2c3d, process ") and "UTC" in str(holder)
        take(second, OTHER).end()
    take(second).end()
    assert files(root) == []


def test_of_several_tables_all_are_reserved_or_none(first: Leases, second: Leases) -> None:
    with take(first, OTHER):
        assert isinstance(second.take([TABLE, OTHER]), Holder)
        take(first, TABLE).end()


def foreign(root: str, beat: int = 0) -> Holder:
    """A holder on another machine, whose file is there."""
    holder = Holder("t", "gpu-1", 7, "run", "1999-01-01 00:00:00 UTC", 60, beat)
    Storage().write(f"{root}/leases/datasets.demo.cv2.00000", holder.encoded())
    return holder


def test_lease_of_another_machine_is_taken_over_after_its_time_without_a_sign_of_life(
    second: Leases, root: str, clock: Clock
) -> None:
    foreign(root)
    for _ in range(3):
        assert isinstance(second.take([TABLE]), Holder)
        clock.seconds += 20
    foreign(root, beat=1)  # it lives
    clock.seconds += 20
    assert isinstance(second.take([TABLE]), Holder), "80 s after the first look, but a sign of life came since"
    clock.seconds += 59
    assert isinstance(second.take([TABLE]), Holder)
    clock.seconds += 2
    take(second).end()
    assert files(root) == []


def test_dates_of_the_two_machines_mean_nothing(second: Leases, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign(root)  # it says that it began in 1999
    for jump in (0.0, 3600.0, -7200.0):
        monkeypatch.setattr("time.time", lambda jump=jump: 2e9 + jump)
        assert isinstance(second.take([TABLE]), Holder), "only time that passes counts"


def test_holder_that_was_stopped_finds_its_table_taken_and_writes_nothing(
    root: str, second: Leases, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables(Storage(), root)
    mine = Leases(tables.storage, root, 600, clock)
    monkeypatch.setitem(tables.__dict__, "leases", mine)
    rows = pa.table({"sample_id": ["a"]})
    hold = take(mine)
    tables.write(rows, TABLE)
    uri = f"{root}/leases/datasets.demo.cv2.00000"
    tables.storage.write(uri, replace(Holder.decoded(tables.storage.read_bytes(uri)), system="").encoded())
    assert isinstance(second.take([TABLE]), Holder)
    clock.seconds += 601
    with take(second):
        with pytest.raises(LeaseLostError, match="taken over by another process"):
            tables.write(pa.table({"sample_id": ["b"]}), TABLE)
        hold.end()
        assert len(files(root)) == 1, "what belongs to the other is left alone"
    assert tables.read(TABLE)["sample_id"].to_pylist() == ["a"]
    tables.write(rows, TABLE)  # reserved by nobody


def test_disk_without_hard_links_keeps_one_holder_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    leases = [Tables(Storage(), str(tmp_path)).leases for _ in range(8)]
    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda one: one.take([TABLE]), leases))
        (held,) = [one for one in found if isinstance(one, Hold)]
        held.end()
    assert files(str(tmp_path)) == []


def test_signs_of_life_keep_a_table(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = threading.Event()
    renew = Hold._renew

    def seen(self: Hold) -> None:
        renew(self)
        if self._me.beat > 2:
            given.set()

    monkeypatch.setattr(Hold, "_renew", seen)
    with take(Leases(Storage(), root, 0.3)) as hold:
        assert given.wait(60)
        hold.confirm()
        said = json.loads(Storage().read_bytes(f"{root}/leases/datasets.demo.cv2.00000"))
        assert said["beat"] > 2
    assert files(root) == []


@pytest.fixture
def holder(root: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has the table."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, root], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_killed_holder_of_this_machine_is_followed_at_once(
    holder: "subprocess.Popen[str]", first: Leases, root: str
) -> None:
    found = first.take([TABLE])
    assert isinstance(found, Holder) and (found.pid, found.run) == (holder.pid, "11112222-run")
    holder.send_signal(signal.SIGSTOP)
    assert isinstance(first.take([TABLE]), Holder), "a stopped process is not gone"
    holder.kill()
    holder.wait()
    take(first).end()
    assert files(root) == []


def test_waiting_run_works_on_other_shards_first_and_says_for_whom_it_waits(
    holder: "subprocess.Popen[str]", root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, told = list[str](), list[str]()
    monkeypatch.setattr("arot_assets.datasets.turns.LOOK_SECONDS", 0.01)

    def work(shard: str) -> None:
        done.append(shard)
        if len(done) == 2:  # nothing is left but what the other has
            holder.communicate("", timeout=120)

    in_turn(
        Tables(Storage(), root),
        ["00000", "00001", "00002"],
        lambda shard: [TableRef("demo", "cv2", shard)],
        work,
        say=told.append,
    )
    assert done == ["00001", "00002", "00000"]
    assert (
        told == [line for line in told if "demo/cv2/00000" in line and "run 11112222, process " in line]
        and len(told) == 1
    )
    assert files(root) == []


def test_a_failing_shard_is_given_back(root: str) -> None:
    tables = Tables(Storage(), root)

    def work(shard: str) -> None:
        assert len(files(root)) == 1
        raise ValueError(shard)

    with pytest.raises(ValueError, match="00000"):
        in_turn(tables, ["00000", "00001"], lambda shard: [TableRef("demo", "cv2", shard)], work)
    assert files(root) == []


def test_a_table_costs_two_requests_on_s3_and_faults_lose_nothing(
    swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    with FaultProxy(swift.endpoint, Faults()) as proxy:
        leases = Leases(Storage(s3=S3Settings(endpoint=proxy.endpoint)), f"s3://{bucket}/lake", 600)
        take(leases, OTHER).end()
        before = proxy.requests
        take(leases).end()
        assert proxy.requests - before == 2
    with FaultProxy(swift.endpoint, Faults(refuse=0.05, error=0.2, lost=0.05), seed=3) as proxy:
        leases = Leases(Storage(s3=S3Settings(endpoint=proxy.endpoint)), f"s3://{bucket}/lake", 600)
        for n in range(6):
            take(leases, TableRef("demo", "cv2", f"{n:05}")).end()
    assert files(f"s3://{bucket}/lake") == []


def test_lease_that_cannot_be_removed_is_told(root: str, caplog: pytest.LogCaptureFixture) -> None:
    from resources.storage import StorageError

    class Stuck(Storage):
        """A store from which nothing can be removed."""

        def delete(self, uri: str) -> None:
            """Never."""
            raise StorageError(f"cannot delete '{uri}': read-only")

    with caplog.at_level(logging.WARNING, "arot"):
        take(Leases(Stuck(), root, 600)).end()
    assert "read-only; the reservation ends by itself after 600 s" in caplog.text
