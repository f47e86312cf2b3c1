"""Care of the store: what nothing refers to is found and only then removed; damage and loss are found; a backup is a copy."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.declarations import Declarations
from arot_assets.garbage import find_garbage, remove_garbage
from arot_assets.project import sql_folder
from arot_assets.subsets.load import load_project
from arot_assets.verify import verify
from arot_assets.yaml_lines import YamlFile
from resources.defaults import Resources
from resources.tables import SAMPLES, Hold, StoreFile, TableRef
from tests.conftest import Dataset

PROJECT = load_project(sql_folder())


@pytest.fixture
def built(dataset: Dataset) -> Dataset:
    """The dataset with one metric."""
    dataset.run("phash")
    return dataset


def declaring(built: Dataset, *metrics: str) -> Declarations:
    """The dataset with these metrics, and nothing else."""
    found = Declarations()
    declaration = built.declaration.model_copy(update={"metrics": list(metrics)})
    found.add("d", declaration, YamlFile(built.source / "defs.yaml"))
    return found


@pytest.fixture
def declared(built: Dataset) -> Declarations:
    """What is declared: the dataset with its metric."""
    return declaring(built, "phash")


def listed(declared: Declarations, resources: Resources) -> dict[str, str]:
    """Path below the store -> why nothing refers to it."""
    root = f"{resources.tables.root}/"
    return {g.uri.removeprefix(root): g.why for g in find_garbage(declared, PROJECT, resources)}


def test_what_is_declared_is_no_garbage(declared: Declarations, resources: Resources) -> None:
    assert listed(declared, resources) == {}


def test_what_nothing_refers_to_is_listed_with_its_size_and_removed_alone(built: Dataset, resources: Resources) -> None:
    tables = resources.tables
    before = tables.read(TableRef("d", "phash", "00000"))
    declared = declaring(built)
    Dataset(resources, built.source, name="other").inventory()
    shutil.copy(tables.uri(TableRef("d", SAMPLES, "00000")), tables.uri(TableRef("d", SAMPLES, "00099")))
    tables.write(pa.table({"centre": [[0.0]]}), TableRef("d", "near_centres"))
    tables.write_bytes(b"{}", StoreFile("classifiers/old/latest.json"))
    tables.write_bytes(b"rating", StoreFile("ratings/people/events/a.parquet"))
    found = listed(declared, resources)
    assert found == {
        "datasets/d/phash": "'d' no longer declares the table 'phash'",
        "datasets/d/near_centres.parquet": "centres of 'near', which is not declared",
        "datasets/d/samples/00099.parquet": "its inventory has no such shard",
        "datasets/other": "no dataset of this name is declared",
        "classifiers/old": "no classifier of this name is declared",
    }
    garbage = find_garbage(declared, PROJECT, resources)
    on_disk = sum(p.stat().st_size for p in Path(tables.folder(TableRef("d", "phash"))).iterdir())
    assert next(g.bytes for g in garbage if g.uri.endswith("d/phash")) == on_disk > 0
    assert tables.read(TableRef("d", "phash", "00000")) == before, "nothing is removed by looking"
    assert remove_garbage(resources.storage, garbage) == []
    assert listed(declared, resources) == {} and tables.shards("d", "phash") == []
    assert len(tables.shards("d", SAMPLES)) == 3 and tables.exists(StoreFile("ratings/people/events/a.parquet"))


def test_reservation_that_a_killed_process_left_is_listed_and_that_of_a_living_one_is_not(
    built: Dataset, declared: Declarations, resources: Resources
) -> None:
    tables, code = resources.tables, "import os; os.kill(os.getpid(), 9)"
    ended = subprocess.Popen([sys.executable, "-c", code])
    ended.wait()
    with patch("os.getpid", lambda: ended.pid), patch("resources.tables.leases._started", lambda pid: "17"):
        left = tables.leases.take([TableRef("d", "cv2", "00000")], "killed")
    living = tables.leases.take([TableRef("d", "cv2", "00001")], "living")
    assert isinstance(left, Hold) and isinstance(living, Hold)
    found = listed(declared, resources)
    assert [*found] == ["leases/datasets.d.cv2.00000"] and "did not give back" in found["leases/datasets.d.cv2.00000"]
    day = time.time() - 3 * 86_400
    os.utime(tables.uri(StoreFile("leases/datasets.d.cv2.00001")), (day, day))
    assert len(listed(declared, resources)) == 2, "no sign of life for three days"
    left.end()
    living.end()


def test_a_whole_store_is_as_recorded(built: Dataset, resources: Resources) -> None:
    found = verify(resources, ["d"], objects=-1)
    assert (found.problems, found.tables, found.footers, found.objects) == ([], 7, 7, 12)
    assert verify(resources, ["d"], share=0).tables == 0


def test_damage_loss_and_changed_sources_are_found(built: Dataset, resources: Resources) -> None:
    tables = resources.tables

    def told(**settings: float) -> str:
        return "\n".join(verify(resources, ["d"], **settings).problems)  # type: ignore[arg-type]

    picture = sorted(built.source.rglob("*.jpg"))[0]
    kept = picture.read_bytes()
    picture.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert str(picture) in told(objects=-1) and "not those that were ingested" in told(objects=-1)
    assert told() == ""
    picture.write_bytes(kept)

    phash = Path(tables.uri(TableRef("d", "phash", "00001")))
    whole = pq.read_table(phash)
    pq.write_table(whole.slice(1), phash)
    assert "d.phash: 12 rows expected, 1 lost, 0 too many" in told()
    pq.write_table(whole, phash)

    samples = Path(tables.uri(TableRef("d", SAMPLES, "00000")))
    rows = pq.read_table(samples)
    pq.write_table(rows.slice(0, rows.num_rows - 1), samples)
    assert "00000.parquet: its rows are not those of its footer (samples_digest)" in told()
    pq.write_table(rows, samples)

    data = bytearray(phash.read_bytes())
    data[60] ^= 255
    phash.write_bytes(data)
    assert "damaged" in told() and "arot rm" in told()
    assert "a file is damaged" in told(share=0.0), "its footer is whole, and a query finds the page"
    phash.write_bytes(data[:-10])
    assert "damaged" in told(share=0.0)


def test_restored_backup_is_the_store_and_costs_no_work(
    built: Dataset, resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, backup = resources.tables.root, str(tmp_path / "backup")
    monkeypatch.setenv("AROT_STORE", store)

    def arot(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == status, result.output
        return result.output

    arot("sync", store, backup)
    shutil.rmtree(store)
    assert "no tables" in arot("verify", "d", status=2)
    arot("sync", backup, store)
    assert "all as recorded" in arot("verify", "d", "--objects", "all")
    assert built.metrics("phash")["phash"].computed == 0
    Path(resources.tables.uri(TableRef("d", "phash", "00000"))).write_bytes(b"no Parquet")
    assert "1 problems" in arot("verify", status=1)
