"""One sample's way through a subset: its own values, in or out, and where it was dropped."""

import pytest

from arot_assets.errors import ProjectError
from arot_assets.subsets.explain import Explanation, explain
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse
from tests.subsets.conftest import write_demo
from tests.tiers import draws


@pytest.fixture
def con(built: Tables, warehouse: Warehouse):
    with warehouse.connect() as connection:
        yield connection


def ids(con, query: str) -> list[str]:
    return [row[0] for row in con.execute(query).fetchall()]


@pytest.mark.parametrize("model", ["clean_photos", "distinct_pictures"])
def test_every_explanation_agrees_with_the_stored_subset(sql: Project, con, model: str):
    every_third = ids(con, "select distinct sample_id from demo.samples where status = 'ok' order by 1")[::3]
    kept, clean = (set(ids(con, f"select sample_id from {name}")) for name in (model, "clean"))
    droppers = set()
    for sample_id in every_third[: draws(len(every_third))]:
        found = explain(sql, model, sample_id, con)
        (upstream,) = found.upstream
        for one, stored in ((upstream, clean), (found, kept)):
            assert one.selected == (sample_id in stored)
            assert one.notes == ()
            assert (one.dropped_by is None) == one.selected
        droppers.add(found.dropped_by)
    assert len(droppers) > 4, "samples that stay, and samples that several predicates drop"


def test_verdict_shows_the_samples_own_values(sql: Project, con):
    row = con.execute(
        "select sample_id, width, height from demo.samples where status = 'ok' and width < 256"
    ).fetchone()
    found = explain(sql, "clean", row[0], con)
    small = next(v for v in found.verdicts if v.label == "large enough")
    assert small.inside is False
    assert small.values == {"samples.width": row[1], "samples.height": row[2]}
    assert small.text == "least(samples.width, samples.height) >= 256"


def test_null_value_is_out(sql: Project, con):
    (failed, *_) = ids(con, "select sample_id from demo.cv2 where status = 'failed'")
    verdicts = {v.label: v for v in explain(sql, "clean", failed, con).verdicts}
    assert verdicts["measured"].inside is False
    assert verdicts["in colour"].inside is False
    assert verdicts["in colour"].values == {"cv2.is_grayscale": None}


def test_sample_dropped_upstream_is_followed_there(sql: Project, con):
    (dark, *_) = ids(con, "select sample_id from demo.cv2 where brightness < 35")
    found = explain(sql, "clean_photos", dark, con)
    assert not found.selected
    assert not found.reached
    assert found.missing_from == ("clean",)
    (upstream,) = found.upstream
    assert upstream.model == "clean"
    assert found.dropped_by == upstream.dropped_by
    assert found.dropped_by is not None
    assert found.dropped_by[0] == "clean"
    text = found.to_markdown()
    assert text.index("**clean**: out") < text.index("**clean_photos**: out")
    assert "no row in clean" in text


def test_qualify_is_judged_among_the_rows_that_passed_where(sql: Project, con):
    (copy, *_) = ids(
        con, "select sample_id from clean where sample_id not in (select sample_id from distinct_pictures)"
    )
    found = explain(sql, "distinct_pictures", copy, con)
    assert [v.inside for v in found.verdicts] == [True, False]
    assert found.verdicts[-1].label == "largest copy of an image"
    assert set(found.verdicts[-1].values) >= {"phash.phash", "phash.mirrored"}


def test_qualify_is_not_judged_for_a_sample_that_where_drops(write_project, demo: Tables, warehouse: Warehouse):
    text = """{{ config(tags=['subset']) }}
        select sample_id from {{ source('demo', 'samples') }}
        where width > 1000 qualify row_number() over (order by height) <= 5"""
    project = load_project(write_project({"models/a.sql": text}))
    with warehouse.connect() as con:
        (narrow, *_) = ids(con, "select sample_id from demo.samples where width <= 1000")
        assert [v.inside for v in explain(project, "a", narrow, con).verdicts] == [False, None]


@pytest.mark.parametrize("way", ["whole id", "prefix", "PREFIX", "uri", "file name", "end of path"])
def test_sample_is_found_by_id_uri_or_name(sql: Project, con, way: str):
    sample_id, uri = con.execute("select sample_id, uri from demo.samples where ends_with(uri, '/016.jpg')").fetchone()
    given = {
        "whole id": sample_id,
        "prefix": sample_id[:8],
        "PREFIX": sample_id[:8].upper(),
        "uri": uri,
        "file name": "016.jpg",
        "end of path": "illustration/016.jpg",
    }[way]
    assert explain(sql, "clean", given, con).sample_id == sample_id


def test_copy_is_explained_by_what_it_is_a_copy_of(sql: Project, con):
    original: Explanation = explain(sql, "clean", "001.jpg", con)
    copy = explain(sql, "clean", "080.jpg", con)
    assert copy.sample_id == original.sample_id
    assert copy.selected == original.selected
    assert [v.inside for v in copy.verdicts] == [v.inside for v in original.verdicts]
    assert "same bytes as /pictures/illustration/001.jpg" in copy.notes[0]


def test_unreadable_object_without_identity_is_told_so(sql: Project, demo: Tables, warehouse: Warehouse):
    table = demo.read(TableRef("demo", "samples", "00000")).to_pylist()
    table[0] |= {"sample_id": None, "sha256": None, "status": "unreadable", "uri": "/pictures/gone.jpg"}
    import pyarrow as pa

    from arot_assets.datasets.samples import samples_schema
    from arot_assets.media.image.medium import IMAGE

    demo.write(pa.Table.from_pylist(table, samples_schema(IMAGE)), TableRef("demo", "samples", "00000"))
    with (
        warehouse.connect() as con,
        pytest.raises(ProjectError, match=r"gone.jpg could not be read \(status unreadable\)"),
    ):
        explain(sql, "clean", "gone.jpg", con)


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        ("nothing.jpg", "no sample 'nothing.jpg' in demo"),
        ("abc", "no sample 'abc'"),
        ("ffff" * 8, "no sample"),
        ("'; drop table x", "no sample"),
    ],
)
def test_unknown_sample_is_an_error_with_a_remedy(sql: Project, con, sample: str, says: str):
    with pytest.raises(ProjectError, match=f"{says}.*at least 4 digits"):
        explain(sql, "clean", sample, con)


def test_ambiguous_sample_lists_the_candidates(sql: Project, demo: Tables, warehouse: Warehouse):
    import pyarrow as pa

    from arot_assets.datasets.samples import samples_schema
    from arot_assets.media.image.medium import IMAGE

    rows = demo.read(TableRef("demo", "samples", "00000")).to_pylist()
    for row, folder in zip(rows[:2], "ab", strict=True):
        row["uri"] = f"/pictures/{folder}/same.jpg"
    demo.write(pa.Table.from_pylist(rows, samples_schema(IMAGE)), TableRef("demo", "samples", "00000"))
    with warehouse.connect() as con, pytest.raises(ProjectError, match=r"matches 2 samples: .*a/same.jpg.*b/same.jpg"):
        explain(sql, "clean", "same.jpg", con)


def test_model_that_is_no_subset_names_those_that_are(sql: Project, con):
    with pytest.raises(ProjectError, match=r"'tag_counts' is not a subset.*clean_photos"):
        explain(sql, "tag_counts", "001.jpg", con)


def test_stored_subset_older_than_its_inputs_is_noted(sql: Project, demo: Tables, warehouse: Warehouse, con):
    (kept, *_) = ids(con, "select sample_id from clean")
    for shard in demo.shards("demo", "cv2"):
        table = demo.read(TableRef("demo", "cv2", shard))
        dark = table.set_column(table.schema.get_field_index("brightness"), "brightness", [[0.0] * table.num_rows])
        demo.write(dark, TableRef("demo", "cv2", shard))
    with warehouse.connect() as fresh:
        found = explain(sql, "clean", kept, fresh)
    assert not found.selected
    assert "the stored clean says in" in found.notes[0]


def test_subset_that_was_never_built_can_be_explained(sql: Project, demo: Tables, warehouse: Warehouse):
    with warehouse.connect() as con:
        found = explain(sql, "clean", "001.jpg", con)
    assert found.verdicts
    assert "has not been built yet" in found.notes[0]


SUBSETS = {
    "every column": "select * from {{ ref('clean') }} where columns(*) is not null and width > 300",
    "list comprehension": "select sample_id from {{ ref('clean') }} where len([t for t in tags if len(t) > 3]) > 0",
    "named window": """select sample_id from {{ ref('clean') }} where height > 300
        window w as (order by width desc, sample_id) qualify row_number() over w <= 5""",
    "join of equal names": """select a.sample_id from {{ ref('clean') }} a join {{ source('demo', 'samples') }} b
        using (sample_id) where columns('^(width|height)$') > 300 and b.status = 'ok'""",
    "JSON": "select sample_id from {{ ref('clean') }} where (json_object('w', width)->>'$.w')::int > 400",
}


@pytest.mark.parametrize("text", SUBSETS.values(), ids=SUBSETS)
def test_every_shape_is_explained_as_it_was_built(write_project, sql: Project, con, demo: Tables, warehouse, text: str):
    files = {f"models/{p.name}": p.read_text() for p in sql.folder.rglob("models/**/clean.sql")}
    config = "name: small\nprofile: small\nvars: " + repr(dict(sql.vars)) + "\n"
    project = load_project(
        write_project({**files, "dbt_project.yml": config, "models/x.sql": "{{ config(tags=['subset']) }}\n" + text})
    )
    result = build_all(project, warehouse, demo, ["x"])[-1]
    assert result.waterfall is not None
    with warehouse.connect() as own:
        kept = set(ids(own, "select sample_id from x"))
        assert result.waterfall.kept == result.rows
        for sample_id in ids(own, "select sample_id from clean order by 1")[: draws(25)]:
            found = explain(project, "x", sample_id, own)
            assert (found.selected, found.notes) == (sample_id in kept, ())


def test_failing_columns_of_a_condition_on_many_are_named(write_project, con, demo: Tables, warehouse: Warehouse):
    where = "where columns('^(width|caption)$') is not null"
    text = "{{ config(tags=['subset']) }} select sample_id from {{ source('demo', 'samples') }} " + where
    project = load_project(write_project({"models/x.sql": text}))
    build_all(project, warehouse, demo, ["x"])
    sample = ids(
        con, "select sample_id from demo.samples where status = 'ok' and caption is null and width is not null"
    )[0]
    assert explain(project, "x", sample, con).verdicts[0].values == {"caption": None}


@pytest.mark.parametrize("rows", ["where random() < 0.5", "tablesample bernoulli(30%)"])
def test_subset_drawn_by_lot_is_built_and_says_that_nothing_can_be_counted(write_project, demo, warehouse, rows: str):
    text = "{{ config(tags=['subset']) }} select sample_id from {{ source('demo', 'samples') }} " + rows
    project = load_project(write_project({"models/x.sql": text}))
    result = build_all(project, warehouse, demo, ["x"])[-1]
    assert (result.waterfall, result.rows > 0) == (None, True)
    assert "hash(sample_id)" in (result.waterfall_problem or "")
    with warehouse.connect() as own:
        kept = set(ids(own, "select sample_id from x"))
        for sample_id in ids(own, "select distinct sample_id from demo.samples where status = 'ok' limit 20"):
            found = explain(project, "x", sample_id, own)
            assert (found.selected, found.verdicts) == (sample_id in kept, ())
            assert "hash(sample_id)" in found.notes[0]


def test_one_picture_in_two_datasets_is_one_sample(write_project, demo: Tables, warehouse: Warehouse):
    write_demo(demo, "animals")
    files = {
        "models/more.yml": "sources:\n  - name: animals\n    tables: [{name: samples}]\n",
        "models/x.sql": """{{ config(tags=['subset']) }}
            with everything as (from {{ source('demo', 'samples') }} union all from {{ source('animals', 'samples') }})
            select sample_id from everything where status = 'ok' and width > 300""",
    }
    project = load_project(write_project(files))
    build_all(project, warehouse, demo, ["x"])
    with warehouse.connect() as own:
        sample = ids(own, "select sample_id from x")[0]
        found = explain(project, "x", sample, own)
    assert found.selected
    assert found.notes[0].startswith("the same bytes are also in animals")
