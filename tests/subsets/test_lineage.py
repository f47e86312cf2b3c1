"""Which upstream columns each column of a model is made of, and what it is called and typed."""

import pytest

from arot_assets.subsets.describe import describe_model
from arot_assets.subsets.lineage import UpstreamColumn, column_lineage
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all, load_result
from resources.tables import Tables
from resources.warehouse import Warehouse

SAMPLES = ("demo", "samples")
CV2 = ("demo", "cv2")
COLUMNS = {SAMPLES: ["sample_id", "width", "tags", "status", "Info"], CV2: ["sample_id", "blur", "status"]}


def sources(sql: str, *outputs: str) -> dict[str, set[str]]:
    found = column_lineage(sql, outputs, COLUMNS)
    assert found.problem is None
    return {name: {f"{c.table}.{c.column}" for c in columns} for name, columns in found.columns.items()}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        pytest.param("select width as w, 1 as one from demo.samples", {"w": {"samples.width"}, "one": set()}, id="alias"),
        pytest.param(
            "select width * blur as x from demo.samples join demo.cv2 using (sample_id)",
            {"x": {"samples.width", "cv2.blur"}},
            id="expression over a join",
        ),
        pytest.param(
            "with w as (select sample_id, max(blur) as most from demo.cv2 group by 1) select w.most from w",
            {"most": {"cv2.blur"}},
            id="CTE and aggregate",
        ),
        pytest.param(
            "select s.* from demo.samples as s where exists (select 1 from demo.cv2 c where c.sample_id = s.sample_id)",
            {"sample_id": {"samples.sample_id"}, "tags": {"samples.tags"}},
            id="star",
        ),
        pytest.param("select unnest(tags) as tag, count(*) as n from demo.samples group by all",
                     {"tag": {"samples.tags"}, "n": set()}, id="unnest"),
        pytest.param(
            "select row_number() over (partition by blur order by sample_id) as best from demo.cv2",
            {"best": {"cv2.blur", "cv2.sample_id"}},
            id="window",
        ),
        pytest.param(
            "select sample_id from demo.samples union all select sample_id from demo.cv2",
            {"sample_id": {"samples.sample_id", "cv2.sample_id"}},
            id="union",
        ),
        pytest.param('select "width" as "Width" from "demo"."samples"', {"Width": {"samples.width"}}, id="quoted"),
        pytest.param(
            "select sample_id, width from demo.samples union all by name select blur as width, sample_id from demo.cv2",
            {"sample_id": {"samples.sample_id", "cv2.sample_id"}, "width": {"samples.width", "cv2.blur"}},
            id="union by name",
        ),
        pytest.param(
            "with b as (select blur, sample_id from demo.cv2 union by name (select * from demo.samples)) select blur, width from b",
            {"blur": {"cv2.blur"}, "width": {"samples.width"}},
            id="union by name of a star in brackets, in a CTE",
        ),
        pytest.param("(select width from demo.samples)", {"width": {"samples.width"}}, id="brackets"),
        pytest.param("with s as (from demo.samples) (select s.width from s) order by 1", {"width": {"samples.width"}}, id="CTE and brackets"),
        pytest.param("values (1, 'a')", {"col0": set(), "col1": set()}, id="values"),
        pytest.param(
            "select info.a.b as b, s.info.c as c, info['d'] as d, tags[1] as e, tags[2:] as f from demo.samples as s",
            {name: {"samples.Info"} if name in "bcd" else {"samples.tags"} for name in "bcdef"},
            id="fields and indexes",
        ),
        pytest.param("select INFO, WIDTH from DEMO.Samples", {"Info": {"samples.Info"}, "width": {"samples.width"}}, id="case"),
        pytest.param(
            "select sum(width) over w as s from demo.samples window w as (partition by status order by sample_id)",
            {"s": {"samples.width", "samples.status", "samples.sample_id"}},
            id="named window",
        ),
        pytest.param(
            "select * from demo.samples unpivot (v for k in (width, status))",
            {"k": {"samples.width", "samples.status"}, "v": {"samples.width", "samples.status"}, "tags": {"samples.tags"}},
            id="unpivot",
        ),
        pytest.param("select width as tags, tags as t from demo.samples", {"tags": {"samples.width"}, "t": {"samples.tags"}},
                     id="alias with a column's name"),
        pytest.param("select [t || status for t in tags] as x from demo.samples", {"x": {"samples.tags", "samples.status"}},
                     id="list comprehension"),
        pytest.param("select * from demo.samples asof join demo.cv2 on samples.width >= cv2.blur",
                     {"width": {"samples.width"}, "blur": {"cv2.blur"}}, id="ASOF join"),
    ],
)  # fmt: skip
def test_columns_lead_to_the_tables_they_come_from(sql: str, expected: dict[str, set[str]]):
    assert sources(sql, *expected) == expected


@pytest.mark.parametrize(
    ("sql", "outputs", "known", "why"),
    [
        pytest.param("select columns('w.*'), status from demo.samples", ["width", "status"], {"status"}, "the SQL does not name", id="columns()"),
        pytest.param("with a as (select columns('w.*') from demo.samples) select width from a", ["width"], set(), "COLUMNS", id="below"),
        pytest.param("select s as whole, status from demo.samples s", ["whole", "status"], {"status"}, "a whole row", id="row"),
        pytest.param("select #1 as x from (select width from demo.samples)", ["x"], set(), "a position", id="position"),
        pytest.param("select unnest(info), width from demo.samples", ["a", "b", "width"], {"width"}, "does not name", id="struct"),
        pytest.param("select * like 'w%' from demo.samples", ["width"], set(), "does not name", id="star like"),
        pytest.param("pivot demo.samples on status using max(width)", ["ok"], set(), "PIVOT", id="pivot"),
        pytest.param(
            "select * from (select status, tags from demo.samples) pivot (count(*) for status in ('ok'))", ["tags", "ok"], set(), "PIVOT",
            id="pivot of columns",
        ),
    ],
)  # fmt: skip
def test_column_that_cannot_be_followed_has_no_lineage_rather_than_a_wrong_one(
    sql: str, outputs: list[str], known: set[str], why: str
):
    found = column_lineage(sql, outputs, COLUMNS)
    assert set(found.columns) == known
    assert found.problem is not None and why in found.problem


def test_column_without_lineage_is_stored_and_shown_as_such(write_project, demo: Tables, warehouse: Warehouse):
    text = "select columns('^width$'), 1 as one from {{ source('demo', 'samples') }}"
    schema = "models: [{name: a, columns: [{name: WIDTH, description: how wide}]}]"
    project = load_project(write_project({"models/a.sql": text, "models/s.yml": schema}))
    build_all(project, warehouse, demo)
    result = load_result(project, "a", demo)
    assert result is not None and result.lineage_problem == "not followed: width: the SQL does not name it"
    assert [(c.name, c.upstream, c.description) for c in result.columns] == [
        ("width", None, "how wide"),
        ("one", (), ""),
    ]


def test_sql_that_sqlglot_cannot_follow_costs_the_lineage_and_says_why():
    found = column_lineage("this is no sql (", ["a"], COLUMNS)
    assert found.columns == {}
    assert found.problem is not None
    assert "ParseError" in found.problem


def test_shipped_models_have_lineage_types_and_descriptions(sql: Project, demo: Tables, warehouse: Warehouse):
    results = {r.name: r for r in build_all(sql, warehouse, demo)}
    assert {r.lineage_problem for r in results.values()} == {None}

    clean = {c.name: c for c in results["clean"].columns}
    assert clean["width"].type == "BIGINT"
    assert clean["width"].upstream == (UpstreamColumn("demo", "samples", "width"),)
    assert clean["brightness"].upstream == (UpstreamColumn("demo", "cv2", "brightness"),)
    assert clean["tags"].type == "VARCHAR[]"
    assert clean["uri"].description == "where the object is"  # passed on from the samples table
    assert clean["width"].description == "pixels, after EXIF orientation"  # schema.yml comes first

    photos = {c.name: c for c in results["clean_photos"].columns}
    assert photos["style_confidence"].upstream == (UpstreamColumn("demo", "style", "confidence"),)
    assert photos["width"].upstream == (UpstreamColumn("main", "clean", "width"),)

    tags = {c.name: c for c in results["tag_counts"].columns}
    assert tags["tag"].upstream == (UpstreamColumn("demo", "samples", "tags"),)


def test_wide_leads_to_the_tables_behind_it(write_project, demo: Tables, warehouse: Warehouse):
    text = "select sample_id, cv2__brightness, style__p_photo from {{ source('demo', 'wide') }}"
    project = load_project(write_project({"models/a.sql": text}))
    with warehouse.connect() as con:
        columns = {c.name: c.upstream for c in describe_model(project, "a", con).columns}
    assert columns == {
        "sample_id": (UpstreamColumn("demo", "samples", "sample_id"),),
        "cv2__brightness": (UpstreamColumn("demo", "cv2", "brightness"),),
        "style__p_photo": (UpstreamColumn("demo", "style", "p_photo"),),
    }


def test_lineage_passes_through_an_ephemeral_model(write_project, demo: Tables, warehouse: Warehouse):
    project = load_project(
        write_project(
            {
                "models/e.sql": "{{ config(materialized='ephemeral') }} select width as w from {{ source('demo', 'samples') }}",
                "models/a.sql": "select e.w + 1 as more from {{ ref('e') }} as e",
            }
        )
    )
    with warehouse.connect() as con:
        (column,) = describe_model(project, "a", con).columns
    assert column.upstream == (UpstreamColumn("demo", "samples", "width"),)
