"""A real Label Studio: tasks go out, what people answer comes back by the sensor, and what is wrong is told in a line."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.declarations import load_declarations
from arot_assets.declarations.kinds import kind_of
from arot_assets.ratings.build import not_conserved
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.reviews import SOURCES_FILE, forget_reviews, review_sources, reviews_folder, write_sources
from resources.dagster import dagster_resources
from resources.label_studio import LabelStudio, LabelStudioError
from resources.own_environment import ToolError
from sensors.ratings import ratings_sensor
from tests.ratings.conftest import Rated
from tests.servers.label_studio import LabelStudioServer

KEY = "LABEL_STUDIO_KEY"
ASKED: set[str | None] = set()
"""Keys of the runs that the sensor asked for."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    """One server for all; each test takes projects of its own."""
    try:
        server = LabelStudioServer(tmp_path_factory.mktemp("label_studio"))
    except ToolError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def project(rated: Rated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rated:
    """A project over the store of ``rated``; whoever works in it has a token."""
    root = tmp_path / "project"
    dataset = f"type: arot_assets.components.ImageDataset\nattributes: {{name: d, source: {rated.dataset.source}, metrics: []}}\n"
    ratings = "type: arot_assets.components.Ratings\nattributes: {name: NAME, dataset: d}\n"
    more = {"q": "q", "classes": "classes, categories: [sea, city]", "numbers": "numbers, scale: {low: 0, high: 1}"}
    for name, text in (("d", dataset), *((name, ratings.replace("NAME", own)) for name, own in more.items())):
        (root / "defs" / name).mkdir(parents=True)
        (root / "defs" / name / "defs.yaml").write_text(text)
    (root / "arot.toml").write_text("")
    (root / "dbt_like_sql").mkdir()
    (root / "dbt_like_sql" / "dbt_project.yml").write_text("name: p\nversion: '1'\nmodel-paths: [models]\n")
    monkeypatch.setenv("AROT_PROJECT", str(root))
    monkeypatch.setenv("AROT_STORE", rated.dataset.resources.tables.root)
    monkeypatch.setenv(KEY, LabelStudioServer.token)
    return rated


def pushed(studio: LabelStudioServer, *options: str, name: str = "q") -> int:
    """`arot review --with label-studio`; gives the number of the new project there."""
    done = CliRunner().invoke(main, ["review", name, "--with", "label-studio", "--url", studio.url, *options])
    assert done.exit_code == 0, done.output
    return int(done.output.partition("/projects/")[2].split()[0])


def declared(name: str) -> RatingsDeclaration:
    return load_declarations().get(RatingsDeclaration, name)


def tick(rated: Rated, name: str = "q") -> dg.SensorResult:
    """A look of the sensor."""
    sensor = ratings_sensor([declared(name)])
    assert sensor is not None
    found = sensor(dg.build_sensor_context(), tables=rated.dataset.resources.tables)
    assert isinstance(found, dg.SensorResult)
    return found


def pulled(rated: Rated, name: str = "q") -> list[tuple[Any, ...]]:
    """What the ratings hold after the sensor asked for a run, and the run."""
    (request,) = tick(rated, name).run_requests or ()
    assert request.run_key not in ASKED  # Dagster would take it for done
    ASKED.add(request.run_key)
    definitions = kind_of(RatingsDeclaration).definitions(declared(name))
    assets = [one for one in definitions.assets or () if isinstance(one, dg.AssetsDefinition)]
    run = dg.materialize(
        [*assets, *(definitions.asset_checks or ())],
        resources=dagster_resources(rated.dataset.resources),
        selection=list(request.asset_selection or ()),
    )
    assert run.success
    assert not tick(rated, name).run_requests  # it has all that there is
    assert not_conserved(rated.dataset.resources.tables, name) == []
    return rated.dataset.sql(
        f"select sample_id, rater, kind, coalesce(label, value::varchar), status from ratings.{name} order by recorded_at, rater"
    )


def test_answers_come_back_under_the_raters_names_and_a_correction_is_another_event(
    studio: LabelStudioServer, project: Rated
) -> None:
    number = pushed(studio, "--limit", "4")
    tasks = studio.tasks(number)
    samples = [task["data"]["sample_id"] for task in tasks]
    assert set(samples) <= set(project.ids.values()) and len(samples) == 4
    assert studio.ask("GET", tasks[0]["data"]["image"])[:2] == b"\xff\xd8"  # the server has the picture itself
    assert not tick(project).run_requests or pulled(project) == []  # nobody answered yet
    bob = {"email": "bob@example.org", "username": "bob", "first_name": "Bob", "last_name": "", "password": "xyz-12345"}
    bob_number = studio.ask("POST", "/api/users/", bob)["id"]
    first = studio.annotate(tasks[0]["id"], "rating", {"rating": 4})
    second = studio.annotate(tasks[1]["id"], "rating", {"rating": 2}, completed_by=bob_number)
    third = studio.annotate(tasks[2]["id"], "rating", {"rating": 5})
    assert sorted(pulled(project)) == sorted(
        [
            (samples[0], studio.email, "score", "4.0", "ok"),
            (samples[1], "bob@example.org", "score", "2.0", "ok"),
            (samples[2], studio.email, "score", "5.0", "ok"),
        ]
    )
    studio.correct(first, "rating", {"rating": 1})
    rows = [row for row in pulled(project) if row[0] == samples[0]]
    assert [(row[3], row[4]) for row in rows] == [("4.0", "replaced"), ("1.0", "ok")]
    studio.ask("PATCH", f"/api/annotations/{second}/", {"was_cancelled": True})
    studio.ask("DELETE", f"/api/annotations/{third}/")
    rows = pulled(project)
    for sample, score in ((samples[1], "2.0"), (samples[2], "5.0")):
        assert [row[2:] for row in rows if row[0] == sample] == [
            ("score", score, "replaced"),
            ("skip", None, "skipped"),
        ]
    assert project.dataset.sql("select count(*) from ratings.q where reason like '%took it back%'") == [(1,)]
    fourth = studio.annotate(tasks[3]["id"], "rating", {"rating": 5})
    pulled(project)
    studio.ask("DELETE", f"/api/annotations/{fourth}/")  # now the server says what it said before
    assert [row[4] for row in pulled(project) if row[0] == samples[3]] == ["replaced", "skipped"]
    (source,) = review_sources("q")
    (path,) = reviews_folder("q").glob(f"*/{SOURCES_FILE}")
    other = pushed(studio, "--limit", "1", "--rater", "Cid")
    studio.annotate(studio.tasks(other)[0]["id"], "rating", {"rating": 3})
    forget_reviews("q", "Cid")
    write_sources(path.parent, [source.model_copy(update={"project": other})])  # under the name of the first project
    again = {row[0]: row[4] for row in pulled(project) if row[2] == "score" and row[3] == "1.0"}
    assert again == {samples[0]: "ok"}  # what the first project said still counts
    assert project.dataset.sql("select distinct seconds from ratings.q where kind = 'score'") == [(2.5,)]


@pytest.mark.parametrize(
    ("name", "kind", "value", "said"),
    [
        ("classes", "choices", {"choices": ["sea"]}, ("category", "sea")),
        ("numbers", "number", {"number": 0.25}, ("score", "0.25")),
    ],
)
def test_classes_and_numbers_are_asked_for_where_stars_do_not_fit(
    studio: LabelStudioServer, project: Rated, name: str, kind: str, value: dict[str, Any], said: tuple[str, str]
) -> None:
    (task,) = studio.tasks(pushed(studio, "--limit", "1", name=name))
    studio.annotate(task["id"], kind, value)
    assert pulled(project, name) == [(task["data"]["sample_id"], studio.email, *said, "ok")]


def test_pairs_for_one_named_rater(studio: LabelStudioServer, project: Rated) -> None:
    number = pushed(studio, "--limit", "5", "--group", "2", "--rater", "Cid")
    tasks = studio.tasks(number)
    assert len(tasks) == 2  # the fifth has no partner
    studio.annotate(tasks[0]["id"], "pairwise", {"selected": "right"})
    studio.annotate(tasks[1]["id"], "pairwise", {"selected": "left"})
    pulled(project)
    rows = project.dataset.sql("select samples, ranks, rater, status from ratings.q where kind = 'pair'")
    assert sorted(rows) == sorted(
        ([task["data"]["left"], task["data"]["right"]], ranks, "Cid", "ok")
        for task, ranks in zip(tasks, ([2, 1], [1, 2]), strict=True)
    )
    done = CliRunner().invoke(main, ["review", "q", "--with", "label-studio", "--url", studio.url, "--group", "3"])
    assert done.exit_code == 1
    assert "compares pairs here, not 3 images" in done.output


def test_a_personal_access_token_is_as_good_as_a_legacy_one(
    studio: LabelStudioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, studio.ask("POST", "/api/token/", {})["token"])
    assert studio.email in LabelStudio(studio.url, KEY).people().values()
    broken = os.environ[KEY][:-8] + "AAAAAAAA"
    monkeypatch.setenv(KEY, broken)
    with pytest.raises(LabelStudioError, match="it accepts no such token") as told:
        LabelStudio(studio.url, KEY).people()
    assert broken not in str(told.value)


def test_each_fault_is_one_clear_error(
    studio: LabelStudioServer, project: Rated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*arguments: str) -> str:
        done = CliRunner().invoke(main, list(arguments))
        assert done.exit_code == 1, done.output
        (line,) = [line for line in done.output.splitlines() if line.startswith("Error: ")]
        return line

    review = ("review", "q", "--with", "label-studio", "--limit", "1", "--url")
    number = pushed(studio, "--limit", "1")
    studio.annotate(studio.tasks(number)[0]["id"], "rating", {"rating": 3})
    pulled(project)
    monkeypatch.setenv(KEY, "f" * 40)
    assert said(*review, studio.url).startswith(f"Error: {studio.url} refuses: it accepts no such token; set {KEY} to")
    assert "accepts no such token" in str(tick(project).skip_reason)
    monkeypatch.delenv(KEY)
    assert "refuses: no token is given" in said(*review, studio.url)
    monkeypatch.setenv(KEY, studio.token)
    assert "does not answer" in said(*review, "http://127.0.0.1:9")
    studio.ask("DELETE", f"/api/projects/{number}/")
    gone = f"{studio.url} has no project {number}, or not for this account; was it deleted?"
    assert gone in str(tick(project).skip_reason)
    assert project.dataset.sql("select value, status from ratings.q") == [(3, "ok")]  # what was taken in stays
