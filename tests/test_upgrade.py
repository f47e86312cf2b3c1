"""A store that the first version with all of the lake wrote is opened by this one: read, gone on with, and not made anew.

``data/first_store`` was written by commit 3fe57c1 for eight photos of the examples in shards of five. Only where the photos lay then
is replaced here by where the test has them.
"""

import os
import shutil
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from resources.dagster import dagster_resources
from resources.defaults import Resources
from resources.tables import INVENTORY, SAMPLES, ModelRef, TableRef
from resources.tables.form import PLACE, FormError
from tests.conftest import DATA, EXAMPLES, Dataset

FIRST = DATA / "first_store"
THEN = "/srv/photos"


@pytest.fixture
def old(resources: Resources, tmp_path: Path) -> Dataset:
    """The dataset as it was left: the store, and the photos with the dates that it noted."""
    source, tables = tmp_path / "images", resources.tables
    shutil.copytree(FIRST, tables.root)
    source.mkdir()
    for ref in [TableRef("demo", INVENTORY), *(TableRef("demo", SAMPLES, s) for s in ("00000", "00001"))]:
        table, footer = tables.read(ref), tables.footer(ref)
        moved = pc.replace_substring(table["uri"], THEN, str(source))
        table = table.set_column(table.column_names.index("uri"), table.schema.field("uri"), moved)
        tables.write(table, ref, {k: v.replace(THEN, str(source)) for k, v in footer.items()})
    for row in tables.read(TableRef("demo", INVENTORY)).to_pylist():
        photo = Path(row["uri"])
        shutil.copyfile(EXAMPLES / "photo" / "sea" / photo.name, photo)
        os.utime(photo, ns=(0, int(row["mtime"].timestamp() * 1e6) * 1000))
    return Dataset(resources, source, "demo")


def values(dataset: Dataset, table: str) -> pa.Table:
    """The rows of a table in the order of the samples."""
    tables = dataset.resources.tables
    return pa.concat_tables([tables.read(TableRef("demo", table, s)) for s in ("00000", "00001")]).sort_by("sample_id")


def test_its_tables_are_read_before_anything_was_run(old: Dataset) -> None:
    (found,) = old.sql("select count(*), count(cv2__sharpness), count(phash__phash) from demo.wide where status = 'ok'")
    assert found == (8, 8, 8)
    assert old.resources.tables.read(ModelRef("clean")).num_rows == 8


def test_what_did_not_change_is_not_measured_again(old: Dataset) -> None:
    before = {name: values(old, name) for name in (SAMPLES, "cv2", "phash")}
    plan = old.inventory()
    assert (plan.new, plan.changed, plan.gone, plan.unchanged) == (0, 0, 0, 8)
    old.samples()  # `samples` has more columns now, so the files are read again
    found = old.metrics("cv2", "phash")
    assert {name: (one.kept, one.computed, one.copied) for name, one in found.items()} == {
        "cv2": (8, 0, 0),
        "phash": (8, 0, 0),
    }
    for name in ("cv2", "phash"):
        assert values(old, name).equals(before[name]), name
    shown = ["sample_id", "sha256", "uri", "status", "bytes", "width", "height", "shard"]
    assert values(old, SAMPLES).select(shown).equals(before[SAMPLES].select(shown))
    assert old.samples() == {"00000": 0, "00001": 0}


def test_new_photo_is_all_that_is_measured(old: Dataset) -> None:
    shutil.copyfile(EXAMPLES / "photo" / "sea" / "sea16_harro.jpg", old.source / "sea16_harro.jpg")
    plan = old.inventory()
    assert (plan.new, plan.gone, plan.unchanged, plan.new_shards) == (1, 0, 8, ("00002",))
    old.samples()
    found = old.metrics("cv2", "phash")
    assert {name: (one.kept, one.computed) for name, one in found.items()} == {"cv2": (8, 1), "phash": (8, 1)}
    assert old.sql("select count(*), count(cv2__sharpness) from demo.wide") == [(9, 9)]


@pytest.mark.parametrize("said", ['{"form": 2, "arot": "9.1"}', "{"])
def test_store_of_a_newer_form_is_refused_and_left_as_it_is(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    tables = resources.tables
    tables.write_bytes(said.encode(), PLACE)
    monkeypatch.setenv("AROT_STORE", tables.root)
    before = sorted(Path(tables.root).rglob("*"))
    told = CliRunner().invoke(main, ["gc", "--delete", "--yes"])
    assert told.exit_code == 1
    assert ("install arot 9.1 or newer" if "9.1" in said else "restore it from a backup") in told.output, told.output
    with pytest.raises(dg.DagsterError) as refused, dg.build_resources(dagster_resources(resources)):
        pytest.fail("no resource was to be made")
    assert isinstance(refused.value.__cause__, FormError)
    assert sorted(Path(tables.root).rglob("*")) == before
