"""The commands as a user meets them: what they do, and what they say when something is wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resources.tables import ModelRef
from tests.conftest import DATA, REPOSITORY
from tests.end_to_end.conftest import Project


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose `arot demo` has run once; tests that share it only read, or undo what they do."""
    project = Project(tmp_path_factory.mktemp("done"))
    project.add_examples(16)
    shutil.copyfile(DATA / "faults" / "truncated_half.jpg", project.source / "photo" / "broken.jpg")
    project.first = project.arot("demo")  # type: ignore[attr-defined]
    return project


def test_demo_runs_the_whole_graph_and_says_what_came_of_it(done: Project) -> None:
    text = done.first  # type: ignore[attr-defined]
    for part in (
        "demo.inventory",
        "demo.cv2",
        "demo.phash",
        "demo.embedding",
        "demo.style",
        "Subset clean:",
        "arot sql",
    ):
        assert part in text, text
    assert "Warning" not in text, text
    ((samples, ok),) = done.sql("select count(*), count(*) filter (status = 'ok') from demo.samples")
    assert samples == 49 and ok == 48
    for table in ("cv2", "phash", "embedding", "style"):
        assert done.sql(f"select count(*), count(distinct sample_id) from demo.{table}") == [(ok, ok)], table
    assert done.sql("select count(*) from clean_photos")[0][0] > 0


def test_second_demo_does_no_work_and_says_so(done: Project) -> None:
    before = {
        p: p.stat().st_mtime for p in (done.root / ".arot/store").rglob("*.parquet") if p.name != "inventory.parquet"
    }
    text = done.arot("demo")
    assert "Nothing to do" in text
    assert {p: p.stat().st_mtime for p in before} == before


MODELS = ("real_or_drawn", "open_nsfw", "faces")


def test_demo_has_tables_of_models_and_goes_on_without_them(done: Project, tmp_path: Path) -> None:
    """The weights come out of packages: twice, without a registry and with the one of this machine, if there is one."""
    file = done.defs / "datasets" / "demo" / "defs.yaml"
    before = file.read_text()
    done.declare_dataset("demo", source="examples/images", metrics=["cv2", "phash", "embedding", *MODELS])
    try:
        text = done.arot("demo", AROT_MODELS=str(tmp_path), PIP_NO_INDEX="1")
        (told,) = [line for line in text.splitlines() if line.startswith("Without the models")]
        assert "real_or_drawn, open_nsfw, faces: model 'real_or_drawn': pip cannot download anime-or-not==0.0.7" in told
        assert "demo.faces" not in text and "Nothing to do" in text
        said = done.arot("run", "demo", "--metrics", "faces", status=1, AROT_MODELS=str(tmp_path))
        assert "demo/faces waits for the weights of faces (`arot models fetch faces`)" in said

        text = done.arot("demo")
        if "Without the models" in text:
            pytest.skip("the package registry is out of reach")
        for name in MODELS:
            assert done.sql(f"select count(*) from demo.{name} where status = 'ok'") == [(48,)]
        ((photos, safe),) = done.sql(
            "select count(*) filter (real_or_drawn__p_photo > 0.9 and uri like '%/photo/%'), (select count(*) from safe_photos) from demo.wide"
        )
        assert photos == 16 and safe > 0
        for line in [line.strip() for line in text.splitlines() if "real_or_drawn" in line and "arot sql" in line]:
            assert done.sql(line.removeprefix('arot sql "').removesuffix('"'))
    finally:
        file.write_text(before)
        for name in MODELS:
            shutil.rmtree(done.root / ".arot" / "store" / "datasets" / "demo" / name, ignore_errors=True)
        (done.root / ".arot" / "store" / "models" / "safe_photos.parquet").unlink(missing_ok=True)
        done.resources.warehouse.refresh()


def test_every_query_that_the_demo_suggests_runs(done: Project) -> None:
    lines = [line.strip() for line in done.first.splitlines() if line.strip().startswith('arot sql "')]  # type: ignore[attr-defined]
    assert len(lines) == 5
    for line in lines:
        assert done.arot("sql", line.removeprefix('arot sql "').removesuffix('"')).strip()


def test_sql_gives_tables_csv_json_and_parquet(done: Project, tmp_path: Path) -> None:
    query = "select format, count(*) as n from demo.samples group by 1 order by 1"
    assert "format" in done.arot("sql", query)
    assert done.arot("sql", query, "-o", "csv").splitlines()[0] == "format,n"
    rows = json.loads(done.arot("sql", query, "-o", "json"))
    assert {r["format"] for r in rows} >= {"JPEG", "PNG"}
    done.arot("sql", query, "-o", "parquet", "--out", str(tmp_path / "formats.parquet"))
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "formats.parquet").num_rows == len(rows)
    file = tmp_path / "query.sql"
    file.write_text(query)
    assert "JPEG" in done.arot("sql", "-f", str(file))


def test_wrong_sql_is_one_error(done: Project) -> None:
    text = done.arot("sql", "select brightnes from demo.cv2", status=1)
    assert "brightnes" in text and "Traceback" not in text


def test_catalogue_opens_read_only_in_any_client_while_runs_go_on(done: Project) -> None:
    import duckdb

    catalog = done.root / ".arot" / "store" / "catalog.duckdb"
    with duckdb.connect(str(catalog), read_only=True) as con:
        done.arot("run", "demo")
        assert con.execute("select count(*) from demo.wide").fetchone() == (49,)
        ((comment,),) = con.execute(
            "select comment from duckdb_columns() where schema_name = 'demo' and table_name = 'cv2' and column_name = 'brightness'"
        ).fetchall()
        assert "gray" in comment


def test_status_counts_shards_rows_and_failures(done: Project) -> None:
    text = done.arot("status", "demo")
    assert "2 of 2" in text and "no end marker" in text


@pytest.mark.parametrize("command", ["status", "run"])
def test_what_has_nothing_to_run_loads_nothing_that_only_runs_need(done: Project, command: str) -> None:
    done.arot("run", "demo")
    code = (
        f"import sys\nfrom arot_assets.cli import main\nmain(['{command}', 'demo'], standalone_mode=False)\n"
        "print([m for m in ('arot_assets.cli.launch', 'arot_assets.definitions', 'dagster', 'torch') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=done.root, env=done.environment(), capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"


LOOKING = (
    ["sql", "select 1"],
    ["explain", "clean", "{name}"],
    ["ls", "{root}/.arot/store"],
    ["cat", "{root}/pyproject.toml"],
    ["peek", "{root}/.arot/store/datasets/demo/inventory.parquet"],
    ["models"],
    ["--help"],
)


@pytest.mark.parametrize("arguments", LOOKING, ids=lambda arguments: arguments[0])
def test_a_command_that_only_looks_loads_no_dagster(done: Project, arguments: list[str]) -> None:
    ((name,),) = done.sql(
        "select parse_filename(uri) from demo.samples where status = 'ok' and uri like '%/photo/%' order by uri limit 1"
    )
    said = [argument.format(root=done.root, name=name) for argument in arguments]
    code = (
        f"import sys\nfrom arot_assets.cli import main\nmain({said!r}, standalone_mode=False)\n"
        "print([m for m in ('dagster', 'boto3', 'torch', 'cv2', 'numba', 'sklearn') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=done.root, env=done.environment(), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[]"


def test_explain_shows_each_predicate_with_the_sample_s_own_values(done: Project) -> None:
    ((name,),) = done.sql(
        "select parse_filename(uri) from demo.samples where status = 'ok' and uri like '%/photo/%' order by uri limit 1"
    )
    text = done.arot("explain", "clean", name)
    assert "brightness" in text and "clean:" in text
    assert "no sample" in done.arot("explain", "clean", "not-there.png", status=1).lower()


def test_new_declares_and_run_works(done: Project) -> None:
    path = done.root / "defs/datasets/faults/defs.yaml"
    try:
        done.arot("new", "image-dataset", "faults", str(DATA / "faults"), "--metrics", "phash")
        assert path.exists()
        text = done.arot("run", "faults")
        assert "up to date" in text
        assert done.sql("select count(*) from faults.samples") == [(53,)]
        assert "already declared" in done.arot("new", "image-dataset", "faults", str(DATA), status=1)
    finally:
        shutil.rmtree(path.parent)


def test_table_of_a_deleted_model_goes_if_it_was_built_here(done: Project) -> None:
    model = done.root / "dbt_like_sql" / "models" / "short_lived.sql"
    model.write_text("select count(*) as n from {{ ref('clean') }}\n")
    done.arot("run", "demo")
    tables = done.resources.tables
    footer = tables.footer(ModelRef("short_lived"))
    tables.write(tables.read(ModelRef("short_lived")), ModelRef("colleague_s"), footer=footer)
    model.unlink()
    told = done.arot("status")
    assert "models/short_lived.parquet belongs to a SQL model that is no longer declared" in told and "arot rm " in told
    assert "SQL models removed because they are no longer declared: short_lived\n" in done.arot("run", "demo")
    assert not tables.exists(ModelRef("short_lived"))
    assert tables.exists(ModelRef("colleague_s")), "what another checkout built stays"
    tables.storage.delete(tables.uri(ModelRef("colleague_s")))


def test_failed_check_stays_a_failure_until_it_is_mended(done: Project) -> None:
    folder = done.root / "dbt_like_sql" / "models" / "broken"
    folder.mkdir()
    try:
        (folder / "broken.sql").write_text("select sample_id, caption from {{ source('demo', 'samples') }}\n")
        (folder / "schema.yml").write_text(
            "models: [{name: broken, columns: [{name: caption, data_tests: [not_null]}]}]\n"
        )
        for _ in range(2):
            text = done.arot("run", "demo", status=1)
            assert "check models/broken:" in text and "Traceback" not in text
    finally:
        shutil.rmtree(folder)
        (done.root / ".arot" / "store" / "models" / "broken.parquet").unlink(missing_ok=True)
    assert "nothing to do" in done.arot("run", "demo")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("- phash", "- phahs", "no metric 'phahs'"),
        ("shard_size", "shard_sise", "unknown key 'shard_sise'"),
        ("  source: examples/images\n", "", "'source' is missing"),
        ("ImageDataset", "ImageDatset", "unknown type"),
        ("metrics:", "metrics: [", "not valid YAML"),
        ("shard_size: 40", "shard_size: many", "shard_size"),
    ],
)
def test_bad_yaml_is_one_error_with_file_and_line(project: Project, old: str, new: str, expected: str) -> None:
    path = project.root / "defs/datasets/demo/defs.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    for command in (("run", "demo"), ("status",)):
        output = project.arot(*command, status=1)
        assert expected in output and f"{path}:" in output, output
        assert "Traceback" not in output and output.count("Error") == 1
    loaded = subprocess.run(
        [sys.executable, "-c", "from arot_assets.definitions import build_definitions; build_definitions()"],
        cwd=project.root,
        env=project.environment(),
        capture_output=True,
        text=True,
    )
    (told,) = [line for line in loaded.stderr.splitlines() if line.startswith("left out: ")]
    assert loaded.returncode == 0 and expected in told and f"{path}:" in told, loaded.stderr


def test_missing_source_fails_the_inventory_and_touches_nothing_else(project: Project) -> None:
    project.declare_dataset("demo", source="/nowhere/at/all", metrics=["phash"])
    shutil.rmtree(project.root / "defs/classifiers")
    output = project.arot("run", "demo", status=1)
    assert "cannot list '/nowhere/at/all'" in output and "check the spelling" in output and "Traceback" not in output
    assert not (project.root / ".arot/store/datasets").exists()


def test_unknown_dataset_and_metric_are_told_with_what_there_is(project: Project) -> None:
    assert "Did you mean 'demo'" in project.arot("run", "dmeo", status=1)
    assert "declared: cv2, phash, embedding" in project.arot("run", "demo", "--metrics", "cv3", status=1)


def test_help_teaches(project: Project) -> None:
    assert "Getting started" in project.arot("--help")
    for command in ("run", "new", "sql", "status", "retry", "explain", "doctor", "models", "demo", "ui"):
        assert "Usage:" in project.arot(command, "--help")


def test_doctor_finds_nothing_wrong_here_and_names_a_missing_source(project: Project) -> None:
    assert "BAD" not in project.arot("doctor")
    project.declare_dataset("demo", source="/nowhere/at/all", metrics=["cv2", "phash", "embedding"])
    assert "/nowhere/at/all does not exist" in project.arot("doctor", status=1)
    told = project.arot("doctor", status=1, AROT_SCRATCH="/not/mounted")
    assert "BAD   temporary files" in told and "'/not/mounted': No such file or directory" in told


def test_loading_definitions_is_light() -> None:
    code = (
        "import sys, arot_assets.definitions as d; d.build_definitions(); "
        "print([m for m in ('torch', 'cv2', 'pandas', 'numba', 'sklearn', 'timm') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert loaded.stdout.strip() == "[]"
