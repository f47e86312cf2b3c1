"""One declaration or metric with a fault is one line with its place; all else that is declared works."""

import json
import os
import sqlite3
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.cli.home import HomeError, records_are_writable
from arot_assets.cli.main import main
from arot_assets.declarations import DeclarationError, load_declarations
from arot_assets.definitions import build_definitions
from arot_assets.leftovers import leftover_metrics
from arot_assets.names import proposed_name
from arot_assets.project import init_project
from resources.storage import Storage
from resources.tables import TableRef, Tables
from tests.conftest import EXAMPLES, REPOSITORY
from tests.prepared import python

HEAD = "type: arot_assets.components.ImageDataset\nattributes:\n"
FAULTS = {
    "control_character": (f'{HEAD}  name: pets\n  source: x\n  description: "a\x07b"\n', 5, "is not allowed in YAML"),
    "impossible_date": (f"{HEAD}  name: pets\n  source: x\n  description: 2024-13-45\n", 5, "is not a valid timestamp"),
    "unknown_tag": (f"{HEAD}  name: pets\n  source: x\n  description: !secret pets\n", 5, "unknown tag '!secret'"),
    "unquoted_braces": (f"{HEAD}  name: pets\n  source: x\n  description: {{{{ team }}}}\n", 5, "needs quotes"),
    "owner": (f'{HEAD}  name: pets\n  source: x\n  owners: ["Ann"]\n', 5, "for example 'team:ann'"),
    "memory": (f"{HEAD}  name: memory\n  source: x\n", 3, "use for example 'memory_images'"),
    "temp": (f"{HEAD}  name: temp\n  source: x\n", 3, "use for example 'temp_images'"),
    "my_cats": (f"{HEAD}  name: My Cats\n  source: x\n", 3, "for example 'my_cats'"),
    "year": (f"{HEAD}  name: pets\n  source: 2024\n", 4, "put it in quotes"),
    "type": ("type: arot_assets.components.ImageDatset\nattributes: {}\n", 1, "unknown type"),
    "list": ("- a\n", 1, "needs the keys 'type' and 'attributes'"),
    "empty": ("", 1, "needs the keys 'type' and 'attributes'"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one dataset, ``good``, of three images."""
    root = tmp_path / "project"
    init_project(root)
    (root / "pictures").mkdir()
    for picture in sorted((EXAMPLES / "photo" / "sea").glob("*.jpg"))[:3]:
        (root / "pictures" / picture.name).write_bytes(picture.read_bytes())
    declare(root, "good")
    monkeypatch.setenv("AROT_PROJECT", str(root))
    return root


def declare(root: Path, name: str, **attributes: object) -> Path:
    """Declare a dataset over the images of the project."""
    fields = {"name": name, "source": "pictures", "metrics": ["phash"], "settle_seconds": 0, **attributes}
    return write(root, name, yaml.safe_dump({"type": "arot_assets.components.ImageDataset", "attributes": fields}))


def write(root: Path, name: str, text: str, file: str = "defs.yaml") -> Path:
    """Write a declaration as it is given."""
    path = root / "defs" / "datasets" / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def keys() -> set[str]:
    """The assets that Dagster finds."""
    return {k.to_user_string() for k in build_definitions(lambda _: None).resolve_all_asset_keys()}


def arot(folder: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AROT_", "DAGSTER_"))}
    environment = {**kept, "PYTHONPATH": str(REPOSITORY), **more}
    return python.run(["-m", "arot_assets.cli", *arguments], folder, environment)


@pytest.mark.parametrize("case", FAULTS)
def test_fault_in_one_file_is_one_line_and_leaves_the_others_alone(folder: Path, case: str) -> None:
    text, line, message = FAULTS[case]
    path = write(folder, case, text)
    declared = load_declarations()
    (told,) = declared.problems()
    assert told.startswith(f"{path}:{line}: ") and message in told and "\n" not in told
    assert list(declared.datasets) == ["good"]
    assert {"good/samples", "good/phash"} <= keys()


def test_each_faulty_file_is_told_and_asked_for_by_its_name(folder: Path) -> None:
    for case, (text, _, _) in FAULTS.items():
        write(folder, case, text)
    declared = load_declarations()
    assert len(declared.problems()) == len(FAULTS)
    with pytest.raises(DeclarationError, match="unknown tag '!secret'"):
        declared.dataset("unknown_tag")  # nothing in it can be read: it goes by its folder
    with pytest.raises(DeclarationError, match="for example 'my_cats'"):
        declared.dataset("My Cats")
    assert {k for k in keys() if k.startswith("problems/")} >= {"problems/my_cats", "problems/unknown_tag"}


def test_merge_keys_of_yaml_are_read(folder: Path) -> None:
    write(folder, "merge", f"{HEAD}  <<: {{metrics: [cv2]}}\n  name: pets\n  source: pictures\n")
    assert load_declarations().dataset("pets").metrics == ["cv2"]


def test_of_two_files_with_one_name_neither_is_taken(folder: Path) -> None:
    first = declare(folder, "good")
    second = write(folder, "later", first.read_text())
    declared = load_declarations()
    assert not declared.datasets
    assert declared.problems() == [f"{second}:1: 'good' is also declared in {first}; rename one of them"]


def test_file_of_another_ending_is_told(folder: Path) -> None:
    path = write(folder, "cats", f"{HEAD}  name: cats\n  source: x\n", "defs.yml")
    assert load_declarations().problems() == [f"{path}: is not read; rename it to defs.yaml"]


def test_classifier_of_a_faulty_dataset_needs_no_line_of_its_own(folder: Path) -> None:
    write(folder, "pets", f"{HEAD}  name: pets\n  source: x\n  metrcs: [phash]\n")
    path = folder / "defs" / "classifiers" / "kind" / "defs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "type: arot_assets.components.Classifier\nattributes: {name: kind, dataset: pets, labels: {from_folder: 1}}\n"
    )
    declared = load_declarations()
    (told,) = declared.problems()
    assert "unknown key 'metrcs'" in told and not declared.of(ClassifierDeclaration)


def test_tables_of_a_faulty_captioner_are_not_left_over(folder: Path, tmp_path: Path) -> None:
    path = folder / "defs" / "captions" / "short" / "defs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "type: arot_assets.components.Captions\nattributes: {name: short, dataset: good, prompt: nowhere.jinja,\n"
        "  server: {url: 'http://127.0.0.1:1/v1', model: m}}\n"
    )
    tables = Tables(Storage(), str(tmp_path / "store"))
    rows = pa.table({"sample_id": ["a"]})
    for name in ("short", "short_quality", "old"):
        tables.write(rows, TableRef("good", name, "00000"), footer={"metric_version": "1"})
    declared = load_declarations()
    assert declared.problems() == [
        f"{path}:2: there is no file {folder}/nowhere.jinja; write the prompt there, or correct the path"
    ]
    assert declared.fault("short") is not None
    assert [ref.table for ref in leftover_metrics(declared, tables)] == ["old"]


def test_metric_that_cannot_be_imported_is_left_out_of_its_dataset_alone(folder: Path) -> None:
    (folder / "metrics" / "gloss.py").write_text('"""Gloss."""\n\nimport no_such_module\n')
    declare(folder, "shiny", metrics=["phash", "gloss"])
    done = arot(folder, "run", "good")
    assert done.returncode == 0, done.stderr
    assert f"left out: {folder}/metrics/gloss.py:3: metric 'gloss' cannot be loaded: ModuleNotFoundError" in done.stderr
    done = arot(folder, "run", "shiny")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "shiny: up to date" in done.stdout
    assert done.stderr.strip().splitlines()[-1].startswith(f"Error: {folder}/metrics/gloss.py:3: ")
    rows = arot(folder, "sql", "select count(*) as n from shiny.phash", "-o", "json")
    assert json.loads(rows.stdout) == [{"n": 3}], rows.stderr
    done = arot(folder, "status")
    assert done.returncode == 1 and "shiny" in done.stdout and "good" in done.stdout
    assert done.stderr.count("gloss.py:3") == 1 and "Traceback" not in done.stderr


GOOD_MODEL = "{{ config(tags=['subset']) }}\nselect sample_id from {{ source('good', 'samples') }} where width > 1\n"


def models(folder: Path, **texts: str) -> Path:
    """Write SQL models over ``good``, and their source."""
    place = folder / "dbt_like_sql" / "models"
    place.mkdir(parents=True, exist_ok=True)
    (place / "good.yml").write_text("sources: [{name: good, tables: [{name: samples}]}]\n")
    for name, text in texts.items():
        (place / f"{name}.sql").write_text(text)
    return place


def test_model_with_a_fault_is_left_out_and_the_others_are_built_tested_and_shown(folder: Path) -> None:
    place = models(folder, fine=GOOD_MODEL, late=GOOD_MODEL, below="select * from {{ ref('late') }}")
    (place / "tests.yml").write_text("models: [{name: fine, columns: [{name: sample_id, data_tests: [unique]}]}]\n")
    done = arot(folder, "run", "good")
    assert done.returncode == 0, done.stderr
    (place / "late.sql").write_text("select\n{{ 1 + 'x' }}\n")
    (place / "other.yml").write_text("models: [{name: nowhere}]\n")
    (place / "fine.sql").write_text(GOOD_MODEL.replace("> 1", "> 2"))
    (place / "wrong.sql").write_text("select nothing from {{ ref('fine') }}")
    stored = folder / ".arot" / "store" / "models"
    (stored / "someones.parquet").write_text("no Parquet")
    lines = (
        f"{place}/late.sql:2: Jinja: TypeError",
        f"{place}/below.sql:1: reads model 'late', which is left out (late.sql:2)",
        f"{place}/other.yml:1: there is no model 'nowhere'",
    )
    done = arot(folder, "run", "good")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "  models/fine\n" in done.stdout
    assert "fine: 3 samples" in done.stdout and "`width > 2`" not in done.stdout and "width > 2" in done.stdout
    assert "wrong.sql:1: model 'wrong' does not run" in done.stderr
    for line in lines:
        assert sum(line in said for said in done.stderr.splitlines()) == 1, done.stderr
    assert {p.stem for p in stored.glob("*.parquet")} == {"fine", "late", "below", "someones"}, (
        "they are still declared"
    )
    (place / "wrong.sql").unlink()
    done = arot(folder, "run", "good")
    assert done.returncode == 1 and "nothing to do" in done.stdout, done.stdout
    assert all(line in done.stderr.split("\nError: ")[1] for line in lines), done.stderr
    done = arot(folder, "status")
    assert done.returncode == 1 and all(line in done.stderr for line in lines), done.stderr
    assert "declared no more" not in done.stdout and "good" in done.stdout
    done = arot(folder, "doctor")
    for line in (*lines, f"{stored}/someones.parquet is not a Parquet file"):
        assert sum(said.startswith("BAD ") and line in said for said in done.stdout.splitlines()) == 1, done.stdout
    assert arot(folder, "explain", "fine").returncode == 0
    done = arot(folder, "explain", "late")
    assert done.returncode == 1 and "late.sql:2" in done.stderr


def test_project_file_with_a_fault_leaves_out_the_models_alone(folder: Path) -> None:
    models(folder, fine=GOOD_MODEL)
    assert arot(folder, "run", "good").returncode == 0
    (folder / "dbt_like_sql" / "dbt_project.yml").write_text("name: [\n")
    declare(folder, "more")
    assert {"more/samples", "problems/fine"} <= keys() and "models/fine" not in keys()
    done = arot(folder, "run", "more")
    assert done.returncode == 1 and "more: up to date" in done.stdout
    assert done.stderr.splitlines()[-1].startswith(
        f"Error: left out: {folder}/dbt_like_sql/dbt_project.yml:2: not valid YAML"
    )
    assert arot(folder, "sql", "select * from fine").returncode == 0


def test_doctor_finds_each_fault(folder: Path) -> None:
    (folder / "metrics" / "gloss.py").write_text("raise SystemExit(3)\n")
    (folder / "metrics" / "Größe.py").write_text("")
    declare(folder, "shiny", metrics=["phash", "gloss"])
    bad = write(folder, "owner", FAULTS["owner"][0])
    code = folder / "defs" / "mine.py"
    code.write_text("\n\nraise ValueError('not yet')\n")
    declare(folder, "away", source=str(folder / "nowhere"))
    (folder / "unmounted").mkdir()
    declare(folder, "bare", source="unmounted")
    done = arot(folder, "doctor")
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    for part in (
        f"{folder}/metrics/gloss.py:1: metric 'gloss' cannot be loaded: SystemExit: 3",
        f"{folder}/metrics/Größe.py: ignored",
        f"{bad}:5: ",
        f"{code}:3: cannot be loaded: ValueError: not yet",
        f"{folder}/nowhere does not exist",
    ):
        assert sum(line.startswith("BAD ") and part in line for line in done.stdout.splitlines()) == 1, done.stdout
    assert f"{folder}/unmounted is an empty folder" in done.stdout


@pytest.mark.parametrize("command", [("run", "good"), ("doctor",), ("ui",)])
def test_home_of_dagster_that_cannot_be_written_is_one_line(folder: Path, command: tuple[str, ...]) -> None:
    (folder / "file").write_text("")
    done = arot(folder, *command, DAGSTER_HOME=str(folder / "file" / "home"))
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said, said
    assert f"Dagster's home '{folder}/file/home' cannot be written: Not a directory; point DAGSTER_HOME" in said


@pytest.mark.parametrize("command", [("run", "good"), ("doctor",)])
def test_records_of_runs_that_cannot_be_written_are_one_line(folder: Path, command: tuple[str, ...]) -> None:
    (folder / "home" / "history").mkdir(parents=True)
    (folder / "home" / "history" / "runs.db").write_text("what is left after the disk was full" * 100)
    done = arot(folder, *command, DAGSTER_HOME="home")
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said, said
    assert f"'{folder}/home': the records of runs cannot be used: file is not a database; free some space there" in said


def test_disk_that_gets_full_during_a_run_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="database or disk is full; free some space"), records_are_writable(tmp_path):
        try:
            raise sqlite3.OperationalError("database or disk is full")
        except sqlite3.OperationalError as error:
            raise RuntimeError("an event could not be stored") from error
    with pytest.raises(ValueError, match="mine"), records_are_writable(tmp_path):
        raise ValueError("mine")


def test_settings_of_dagster_that_are_none_are_one_line(folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text("run_quue: {}\n")
    done = arot(folder, "run", "good", DAGSTER_HOME="home")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "home/dagster.yaml: not a valid Dagster configuration" in done.stderr and "run_quue" in done.stderr


def test_python_among_the_declarations_is_loaded_and_a_bad_file_leaves_the_others_alone(folder: Path) -> None:
    code = folder / "defs" / "reports"
    code.mkdir()
    (code / "weekly.py").write_text(
        "import dagster as dg\n\n\n@dg.asset(deps=[['good', 'samples']])\ndef weekly() -> None:\n    '''A report.'''\n"
    )
    (code / "broken.py").write_text("import dagster as dg\n\nx = dg.nothing_of_this_name\n")
    told: list[str] = []
    definitions = build_definitions(told.append)
    assert "weekly" in {k.to_user_string() for k in definitions.resolve_all_asset_keys()}
    (line,) = told
    assert line.startswith(f"left out: {code}/broken.py:3: cannot be loaded: AttributeError")


def test_sample_of_a_dataset_that_was_never_run_is_explained_in_one_line(folder: Path) -> None:
    models = folder / "dbt_like_sql" / "models"
    (models / "few.sql").write_text(
        "{{ config(tags=['subset']) }}\nselect sample_id from {{ source('good', 'samples') }}\n"
    )
    (models / "sources.yml").write_text("sources: [{name: good, tables: [{name: samples}]}]\n")
    done = arot(folder, "explain", "few", "a.png")
    assert done.returncode == 1
    assert done.stderr == "Error: dataset 'good' has no samples yet; `arot run good` creates them\n"


def test_tables_of_what_is_no_longer_declared_are_listed_with_what_removes_them(folder: Path) -> None:
    path = declare(folder, "cats")
    assert arot(folder, "run", "cats").returncode == 0
    declare(folder, "cats", metrics=["cv2"])
    table = folder / ".arot" / "store" / "datasets" / "cats" / "phash"
    assert f"`arot rm -r {table}` removes it" in arot(folder, "status").stdout
    path.unlink()
    done = arot(folder, "status")
    assert done.returncode == 0 and f"`arot rm -r {table.parent}` removes them" in done.stdout, done.stdout
    path.write_text("type: [\n")
    assert "no longer declared" not in arot(folder, "status").stdout, "its declaration is there, with a fault"
    path.unlink()
    assert arot(folder, "rm", "-r", "--yes", str(table.parent)).returncode == 0
    unfinished = folder / ".arot" / "store" / "unfinished" / "cats"
    (unfinished / "phash" / "00000").mkdir(parents=True)
    (unfinished / "phash" / "00000" / "rows.parquet").touch()
    done = arot(folder, "status")
    assert done.returncode == 0 and f"`arot rm -r {unfinished}` removes them" in done.stdout, done.stdout
    assert arot(folder, "rm", "-r", "--yes", str(unfinished)).returncode == 0
    assert "no longer declared" not in arot(folder, "status").stdout


def test_what_was_meant_is_proposed() -> None:
    meant = {"My Cats": "my_cats", "2024 Öl-Bilder": "ol_bilder", "Größe": "grosse", "2024": "set_2024", "猫": ""}
    assert {text: proposed_name(text) for text in meant} == meant
    said = CliRunner().invoke(main, ["stauts"])
    assert said.exit_code == 2 and "no command 'stauts'. Did you mean 'status'?" in said.output


def test_new_refuses_a_name_in_words_and_overwrites_nothing(folder: Path) -> None:
    said = CliRunner().invoke(main, ["new", "image-dataset", "My Cats", str(folder / "pictures")])
    assert said.exit_code == 1 and "for example 'my_cats'" in said.output
    path = write(folder, "pets", "type: [\n")
    said = CliRunner().invoke(main, ["new", "image-dataset", "pets", str(folder / "pictures")])
    assert said.exit_code == 1 and "already declared" in said.output and path.read_text() == "type: [\n"


def test_damaged_shard_is_named_with_its_remedy_and_all_else_is_made(folder: Path) -> None:
    declare(folder, "hurt", metrics=["phash", "cv2"])
    assert arot(folder, "run", "hurt").returncode == 0
    shard = folder / ".arot" / "store" / "datasets" / "hurt" / "phash" / "00000.parquet"
    shard.write_bytes(shard.read_bytes()[:100])
    remedy = f"`arot rm {shard}` removes it, then `arot run` makes it again"
    (folder / "pictures" / "one_more.jpg").write_bytes(next((EXAMPLES / "photo" / "city").glob("*.jpg")).read_bytes())
    done = arot(folder, "run", "hurt")
    assert done.returncode == 1 and "hurt/cv2: shard 00001" in done.stdout, done.stdout
    assert sum(f"'{shard}' is not a Parquet file" in line and remedy in line for line in done.stderr.splitlines()) == 1
    assert arot(folder, "run", "good").returncode == 0
    for command in (("status",), ("sql", "select phash from hurt.wide, hurt.phash")):
        done = arot(folder, *command)
        assert done.returncode == 1 and remedy in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert "damaged" in arot(folder, "status").stdout
    assert arot(folder, "sql", "select count(*) from hurt.cv2 union select count(*) from good.wide").returncode == 0
    assert remedy in arot(folder, "doctor").stdout
    assert arot(folder, "rm", str(shard)).returncode == 0
    assert arot(folder, "run", "hurt").returncode == 0
    assert arot(folder, "status").returncode == 0
