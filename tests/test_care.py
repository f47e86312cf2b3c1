"""Care of the store: what nothing refers to is found and only then removed; damage and loss are found; a backup is a copy."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.declarations import Declarations, load_declarations
from arot_assets.garbage import GarbageError, find_garbage, remove_garbage, still_garbage, undecided
from arot_assets.project import sql_folder
from arot_assets.subsets.load import load_project
from arot_assets.verify import verify
from arot_assets.yaml_lines import YamlFile
from resources.defaults import Resources
from resources.tables import INVENTORY, SAMPLES, Hold, StoreFile, TableRef
from resources.tables.parquet_files import WRITTEN
from resources.tables.refs import StorePath
from tests.conftest import EXAMPLES, Dataset

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
    with patch("os.getpid", lambda: ended.pid), patch("resources.tables.leases.started", lambda pid: "17"):
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


def unsigned(rows: pa.Table) -> pa.Table:
    """Without what the file says of itself, as earlier versions wrote it."""
    return rows.replace_schema_metadata({k: v for k, v in rows.schema.metadata.items() if k != WRITTEN})


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
    pq.write_table(unsigned(whole.slice(1)), phash)
    assert "d.phash: 12 rows expected, 1 lost, 0 too many" in told()
    pq.write_table(whole, phash)

    samples = Path(tables.uri(TableRef("d", SAMPLES, "00000")))
    rows = pq.read_table(samples)
    pq.write_table(unsigned(rows.slice(0, rows.num_rows - 1)), samples)
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


def test_declaration_that_cannot_be_read_lets_nothing_be_removed(
    built: Dataset, resources: Resources, tmp_path: Path
) -> None:
    folder = tmp_path / "defs" / "another_name"
    folder.mkdir(parents=True)
    Dataset(resources, built.source, name="other").inventory()
    said = f"type: arot_assets.components.ImageDataset\nattributes: {{name: other, source: {built.source}}}\n"
    for broken, unread in {
        said.replace("}", ""): 1,  # no YAML
        said.replace("source", "sauce"): 0,  # its name can be read
        said.replace("name: other, ", ""): 1,
        "- a list": 1,
    }.items():
        (folder / "defs.yaml").write_text(broken)
        declared = load_declarations(tmp_path / "defs")
        assert len(undecided(declared, PROJECT)) == unread, broken
        assert [one for one in listed(declared, resources) if "other" in one] == [], broken
    (folder / "defs.yaml").write_text(said.replace("name: other", "name: third"))
    assert "datasets/other" in listed(load_declarations(tmp_path / "defs"), resources)


def test_where_nothing_is_declared_nothing_is_listed(built: Dataset, resources: Resources) -> None:
    with pytest.raises(GarbageError, match="no dataset is declared here"):
        find_garbage(Declarations(), PROJECT, resources)


def test_tables_that_sql_reads_are_kept(built: Dataset, resources: Resources, tmp_path: Path) -> None:
    (tmp_path / "sql" / "models").mkdir(parents=True)
    (tmp_path / "sql" / "dbt_project.yml").write_text("name: mine\nversion: '1'\n")
    (tmp_path / "sql" / "models" / "sources.yml").write_text("sources: [{name: d, tables: [{name: phash}]}]\n")
    (tmp_path / "sql" / "models" / "reads.sql").write_text("select sample_id from {{ source('d', 'phash') }}\n")
    project = load_project(tmp_path / "sql")
    assert not project.broken
    found = [g.uri for g in find_garbage(declaring(built), project, resources)]
    assert found == []
    assert "datasets/d/phash" in listed(declaring(built), resources)


def test_what_a_run_is_making_and_what_is_declared_again_is_kept(built: Dataset, resources: Resources) -> None:
    tables, declared = resources.tables, declaring(built)
    agreed = find_garbage(declared, PROJECT, resources)
    assert [g.uri for g in agreed] == [tables.folder(TableRef("d", "phash"))]
    with cast("Hold", tables.leases.take([TableRef("d", "phash", "00001")], "a run")):
        assert find_garbage(declared, PROJECT, resources) == []
    assert still_garbage(agreed, find_garbage(declaring(built, "phash"), PROJECT, resources)) == []
    later = StoreFile("datasets/d/phash/00009.parquet")
    tables.write_bytes(b"new", later)
    (left,) = still_garbage(agreed, find_garbage(declared, PROJECT, resources))
    assert left.objects == agreed[0].objects, "what was not on the list that was read stays"


def test_shard_that_is_planned_while_the_store_is_looked_through_is_no_garbage(
    built: Dataset, declared: Declarations, resources: Resources
) -> None:
    real = type(resources.warehouse).rows

    def rows(self: Any, query: str) -> Any:
        if "distinct shard" in query and not (built.source / "new.jpg").exists():
            shutil.copy(sorted((EXAMPLES / "photo" / "desert").glob("*.jpg"))[0], built.source / "new.jpg")
            found = real(self, query)
            built.run("phash")
            return found
        return real(self, query)

    with patch.object(type(resources.warehouse), "rows", rows):
        assert listed(declared, resources) == {}
    assert len(resources.tables.shards("d", SAMPLES)) == 4


def test_a_flipped_byte_a_cut_end_and_exchanged_files_are_told_by_name(built: Dataset, resources: Resources) -> None:
    """Of each kind of file: any byte of its pages, its end, another file in its place, a row more or less."""
    tables, draw = resources.tables, random.Random(13)
    events, vectors = StoreFile("ratings/q/events/a.parquet"), StoreFile("datasets/d/vectors/00000.parquet")
    tables.write(pa.table({"event_id": [f"{n:032x}" for n in range(50)]}), events)
    numbers = pa.FixedSizeListArray.from_arrays(pa.array(np.linspace(0, 1, 800, dtype=np.float16)), 16)
    tables.write(pa.table({"sample_id": [f"{n:032x}" for n in range(50)], "vector": numbers}), vectors)
    tables.write_bytes(b'{"mistakes": []}', StoreFile("classifiers/style/aaaa/evaluation.json"))
    places: list[StorePath] = [
        TableRef("d", SAMPLES, "00000"),
        TableRef("d", "phash", "00001"),
        TableRef("d", INVENTORY),
        events,
        vectors,
    ]

    def told(place: StorePath) -> str:
        found = verify(resources, ["d"]).problems
        (line,) = [one for one in found if tables.uri(place) in one][:1] or [""]
        return line

    assert verify(resources, ["d"]).problems == []
    for place in places:
        path = Path(tables.uri(place))
        whole = path.read_bytes()
        parquet = pq.ParquetFile(path)
        chunks = [parquet.metadata.row_group(0).column(k) for k in range(parquet.metadata.num_columns)]
        for chunk in draw.sample(chunks, min(3, len(chunks))):
            at = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 1
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
            assert "damaged" in told(place), (place, chunk.path_in_schema)
        path.write_bytes(whole[: len(whole) // 2])
        assert "damaged" in told(place), place
        path.write_bytes(whole)
        rows = pq.read_table(path)
        for changed in (rows.slice(1), pa.concat_tables([rows, rows.slice(0, 1)])):
            pq.write_table(changed, path)
            assert told(place), f"{place}: {changed.num_rows} rows instead of {rows.num_rows}"
        path.write_bytes(whole)
        assert told(place) == ""
    one, other = (Path(tables.uri(TableRef("d", "phash", shard))) for shard in ("00000", "00001"))
    for first, second in ((one, other), (one, Path(tables.uri(places[0])))):
        kept = first.read_bytes(), second.read_bytes()
        first.write_bytes(kept[1])
        second.write_bytes(kept[0])
        assert len([one for one in verify(resources, ["d"]).problems if "were exchanged" in one]) == 2
        first.write_bytes(kept[0])
        second.write_bytes(kept[1])
    page = StoreFile("classifiers/style/aaaa/evaluation.json")
    tables.write_bytes(b'{"mistakes": [', page)
    assert "it is no JSON" in told(page)


def test_what_was_removed_is_told(built: Dataset, resources: Resources) -> None:
    tables = resources.tables
    for place in (TableRef("d", "phash", "00001"), TableRef("d", SAMPLES, "00000"), TableRef("d", INVENTORY)):
        path = Path(tables.uri(place))
        whole = path.read_bytes()
        path.unlink()
        found = verify(resources, ["d"])
        if place.table == "phash":  # nobody knows whether it was there
            assert found.missing == ["d.phash has no shard 00001: `arot run d` makes what is not made yet"]
        else:
            assert any(tables.uri(place) in one and "it is missing" in one for one in found.problems), place
        path.write_bytes(whole)
    assert verify(resources, ["d"]).problems == []


def test_remedy_for_what_people_said_is_a_backup(resources: Resources) -> None:
    events = StoreFile("ratings/q/events/a.parquet")
    resources.tables.write_bytes(b"no Parquet", events)
    (said,) = verify(resources, []).problems
    assert "restore it from a backup; what people said cannot be made again" in said and "arot rm" not in said
