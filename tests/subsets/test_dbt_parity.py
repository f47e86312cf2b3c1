"""Real dbt-duckdb builds the shipped folder unchanged, and finds the same rows and the same test results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all
from arot_assets.subsets.tests import run_test
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse
from tests.subsets.conftest import SQL_FOLDER
from tests.waiting import run

DBT = Path(sys.executable).with_name("dbt")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DBT.exists(), reason="dbt is not installed (pip install .[dev])"),
]


def dbt_build(project: Project, catalog: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "AROT_CATALOG": str(catalog),
        "AROT_DBT_DATABASE": str(folder / "dbt.duckdb"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    places = [
        "--project-dir",
        project.folder,
        "--profiles-dir",
        project.folder,
        "--target-path",
        folder,
        "--log-path",
        folder,
    ]
    command = [str(DBT), "--no-use-colors", "build", *map(str, places)]
    return run(command, env=environment)


def test_dbt_and_our_runner_agree_on_every_row_and_every_test(
    sql: Project, demo: Tables, warehouse: Warehouse, tmp_path: Path
):
    warehouse.refresh()
    before = sorted(p for p in sql.folder.rglob("*") if p.is_file())
    target = tmp_path / "dbt"
    target.mkdir()
    done = dbt_build(sql, warehouse.catalog_path, target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(p for p in sql.folder.rglob("*") if p.is_file()) == before

    ours = {r.name: r for r in build_all(sql, warehouse, demo)}
    with duckdb.connect(str(target / "dbt.duckdb")) as con, warehouse.connect() as own:
        con.execute(f"attach '{warehouse.catalog_path}' as catalog (read_only)")
        theirs = {row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()}
        assert theirs == set(ours)
        for name, result in ours.items():
            described = con.execute(f"describe main.{name}").fetchall()
            assert [(c.name, c.type) for c in result.columns] == [(row[0], row[1]) for row in described]
            rows = f"select * from main.{name} order by all"
            expected = con.execute(rows).fetchall()
            assert len(expected) > 3, f"{name} has too few rows to tell anything"
            assert own.execute(rows).fetchall() == expected
        failures = {t.name: run_test(own, sql, t).failures for t in sql.tests}

    results = json.loads((target / "run_results.json").read_text())["results"]
    tests = [r for r in results if r["unique_id"].startswith("test.")]
    assert len(tests) == len(sql.tests)
    assert {r["status"] for r in tests} == {"pass"}
    assert set(failures.values()) == {0}


def test_dbt_and_our_runner_find_the_same_failures(sql: Project, demo: Tables, warehouse: Warehouse, tmp_path: Path):
    for shard in demo.shards("demo", "samples"):
        table = demo.read(TableRef("demo", "samples", shard))
        uris = ["/same.jpg", None, *table["uri"].to_pylist()[2:]]
        broken = table.set_column(table.schema.get_field_index("uri"), table.schema.field("uri"), [uris])
        demo.write(broken, TableRef("demo", "samples", shard))
    warehouse.refresh()
    target = tmp_path / "dbt"
    target.mkdir()
    done = dbt_build(sql, warehouse.catalog_path, target)
    assert done.returncode == 1, done.stdout + done.stderr
    results = json.loads((target / "run_results.json").read_text())["results"]
    theirs = {
        r["unique_id"].split(".")[2].removeprefix("source_"): r["failures"]
        for r in results
        if r["unique_id"].startswith("test.arot.source_")
    }
    with warehouse.connect() as con:
        ours = {
            f"{t.test}_demo_{t.target[1]}_{t.column}": run_test(con, sql, t).failures
            for t in sql.tests
            if not isinstance(t.target, str)
        }
    assert ours["not_null_demo_samples_uri"] == theirs["not_null_demo_samples_uri"] == 2
    assert ours["unique_demo_samples_uri"] == theirs["unique_demo_samples_uri"] == 1
    assert ours["not_null_demo_samples_status"] == theirs["not_null_demo_samples_status"] == 0


KINDS = {
    "dbt_project.yml": "name: small\nprofile: small\nconfig-version: 2\nmodels: {small: {+materialized: table}}\nvars: {least: 100}\n",
    "models/types.sql": """select 9007199254740993::hugeint as h, 340282366920938463463374607431768211455::uhugeint as uh,
        '101'::bit as b, '12:00:00+02'::timetz as tz, interval '1 year 3 days 1.234567 seconds' as i, 'a'::enum('a', 'b') as e,
        [1, 2]::float[2] as v, '{"a": 1}'::json as j, null as n, [] as l, timestamp_s '2024-01-01 00:00:00' as ts, 5::bignum as bn,
        '00000000-0000-0000-0000-000000000001'::uuid as u, {'a b': [1::hugeint], 'm': map {'k': 2::uhugeint}} as st,
        date '9999-12-31' as d, 'infinity'::timestamp as inf, 'nan'::double as nan""",
    "models/below.sql": "select h // 1000 as q, h % 10 as r, j.a as a, e > 'a' as g, array_inner_product(v, v) as p "
    "from {{ ref('types') }}",
    "models/zone.sql": "select (timestamp '2024-01-01 12:00:00')::timestamptz::varchar as t",
    "models/lines.sql": "{%- set x = [\n  1,\n  2\n] -%}\nselect 'a{# one\ntwo #}b' as s, {{ x | sum }} as n\n-- {{ var(\n'least'\n) }} , 3",
    "models/off.sql": "{{ config(tags=[var('t', 'x')], enabled=not true) }} select 1 as a",
    "models/off_in_yaml.sql": "select 1 as a",
    "models/on.sql": "-- config(enabled=false)\nselect 1 as a",
    "models/listed.sql": "values (1, 'x'), (2, 'y')",
    "models/turned.sql": "pivot (select unnest(['x', 'y', 'x']) as k) on k using count(*)",
    "models/read.sql": "select * from {{ source('lists', 'x') }}",
    "models/tested.sql": "select 1 as \"order\", ' ' as s union all select 2, 'x'",
    "models/by_name.sql": "select 1 as a, 'x' as b union all by name select 2 as c, 'y' as b",
    "models/deep/er/spaces.sql": "{{\n  config(\n    materialized='table',\n    tags=['a',\n      \"b\"],\n  )\n}}\n\n"
    '{#- a \'comment\' with -- signs -#}\nwith "my cte" as (\n  select 1 as "A b" -- it\'s\n  {%- for n in [1, 2] %}\n'
    "  union all select {{ n }}{% endfor +%}\n)\nselect {{ doubled('\"A b\"') }} as d, '--' as s, '/* ' as t from \"my cte\" /* it's \"so */",
    "macros/some/where/doubled.sql": "{% macro doubled(x) -%}\n{% set y = 2 %}{{ x }} * {{ y }}\n{%- endmacro %}",
    "models/chosen.sql": "select * from {{ ref('by_name') }} window w as (partition by b order by a) qualify row_number() over w = 1",
    "models/asof.sql": "select l.t, r.v from (values (3), (7)) l(t) asof join (values (1, 'a'), (5, 'b')) r(t, v) on l.t >= r.t",
    "models/nested.sql": "select map {'a': [1, 2]} as m, {'x': {'y': interval 3 day}} as s, [{'k': 1}] as l, "
    "struct_pack(a := [map {1: 'x'}]) as p, interval '2 months' as i, [interval 1 hour] as il",
    "models/case_of.sql": "select Sample, SAMPLE + 1 as more from (select 1 as sample)",
    "models/defaults.sql": "select {{ var('least') }} as a, {{ var('absent', 7) }} as b, '{{ var(\"word\", \"it\") }}' as c, "
    "{{ var('listed', [1, 2]) | length }} as d, {{ 'true' if var('flag', false) else 'false' }} as e, {{ tojson({'a': 1}) | length }} as f",
    "data/x.csv": "a,b\n1,x\n",
    "seeds/plain.csv": 'id,word,price,day,at,iso,yes,nothing,mixed,share,"my col"\n'
    '1,"a, ""quoted"" b",1.50,2026-01-31,2026-01-31 12:00:00,2026-01-31T12:00:00,true,,1,5e3,x\n'
    "2,,2,2026-02-01,,,false,,2026-01-31,-0.25,\n"
    '-3,null,-1e-3,,2026-02-01 00:00:00,2026-01-31T12:00:00.25,,,true,,"two\nlines"\n',
    "seeds/deep/coded.csv": "\ufeffcode|size|Flag\r\n007|1.0|TRUE\r\n010|20|\r\n",
    "seeds/empty.csv": "a,b\n",
    "seeds/s.yml": "seeds:\n  - name: coded\n    config: {delimiter: '|', column_types: {code: varchar, size: 'decimal(9,2)'}}\n"
    "    columns:\n      - {name: code, data_tests: [{unique: {name: codes}}]}\n",
    "models/planted.sql": "select p.*, c.code from {{ ref('plain') }} p cross join {{ ref('coded') }} c",
    "tests/generic/own.sql": "{% test not_null(model, column_name) %}{{ config(severity='warn') }}\n"
    "select * from {{ model }} where trim({{ column_name }}::varchar) = ''{% endtest %}",
    "tests/generic/summed.sql": "{% test summed(model, column_name, limits) %}{{ config(fail_calc='sum(n)') }}\n"
    "select {{ column_name }} as n from {{ model }} where {{ column_name }} >= {{ limits[0] }}{% endtest %}",
    "models/films/sources.yml": "sources: [{name: films, database: catalog, tables: [{name: samples}, {name: frames}, {name: steps}, "
    "{name: stills}, {name: sound}, {name: decoded}, {name: style}, {name: voice}]}]",
    "models/films/bounds.sql": "select * from {{ boundaries(source('films', 'frames'), source('films', 'samples')) }}",
    "models/films/all_clips.sql": "select * from {{ shots(ref('bounds'), source('films', 'frames'), source('films', 'samples')) }}",
    **{
        f"models/films/{macro}.sql": f"select * from {{{{ {macro}(ref('all_clips'), {arguments}) }}}}"
        for macro, arguments in {
            "clip_motion": "source('films', 'steps')",
            "clip_cadence": "source('films', 'frames'), source('films', 'samples')",
            "clip_quality": "source('films', 'frames'), source('films', 'stills'), source('films', 'decoded')",
            "clip_sound": "source('films', 'sound'), source('films', 'samples')",
            "clip_voice": "source('films', 'voice'), source('films', 'samples')",
            "clip_stills": "source('films', 'stills')",
            "clip_aggregate": "source('films', 'style'), 'p_photo'",
        }.items()
    },
    "models/films/spoken.sql": "select clip_id, speech_seconds from {{ ref('clip_voice') }} where speech_seconds >= {{ var('least_speech', 0.5) }}",
    "models/t.yml": """
models:
  - name: by_name
    columns:
      - name: B
        description: in another case
        data_tests:
          - accepted_values: {name: by_where, arguments: {values: ['x']}, config: {where: "b <> 'y'"}}
          - accepted_values: {name: old_style, values: ['x'], severity: warn}
      - name: a
        data_tests:
          - not_null: {name: at_most_one, config: {warn_if: '> 1', error_if: '> 1'}}
          - not_null: {name: some, config: {error_if: '>= 1', severity: error}}
          - relationships: {name: related, arguments: {to: ref('tested'), field: '"order"'}}
""",
    "models/s.yml": """
sources:
  - name: lists
    meta: {external_location: "read_csv('FOLDER/data/{name}.csv')"}
    tables: [{name: x}]
models:
  - name: off_in_yaml
    config: {enabled: "{{ var('with_it', false) }}"}
  - name: tested
    columns:
      - name: order
        quote: true
        data_tests:
          - unique
          - summed: {name: all_of_it, arguments: {limits: ["{{ var('nothing', 1) }}"]}}
          - summed: {name: tolerated, arguments: {limits: [1]}, config: {error_if: '> 5', warn_if: '> 4'}}
          - summed: {name: warned, arguments: {limits: [1]}, config: {error_if: '> 5', warn_if: '> 2'}}
          - accepted_values: {name: not_these, arguments: {values: [1], quote: false}, config: {severity: WARN, limit: 1}}
      - name: s
        data_tests:
          - not_null: {name: blank}
          - not_null: {name: never, config: {enabled: "{{ var('strict', false) }}"}}
""",
}
"""One small project of many kinds of models and tests: dbt takes long to start."""


def test_every_kind_of_model_and_test_means_what_it_means_in_dbt(
    write_project, demo: Tables, warehouse: Warehouse, tmp_path: Path
):
    profiles = (SQL_FOLDER / "profiles.yml").read_text().replace("arot:\n", "small:\n", 1)
    kinds = {name: text.replace("FOLDER", str(tmp_path / "project")) for name, text in KINDS.items()}
    kinds["macros/films.sql"] = (SQL_FOLDER / "macros" / "films.sql").read_text()
    folder = write_project({**kinds, "profiles.yml": profiles, "models/sources.yml": "version: 2\n"})
    warehouse.refresh()
    project = load_project(folder)
    target = tmp_path / "dbt"
    target.mkdir()
    done = dbt_build(project, warehouse.catalog_path, target)
    assert (target / "run_results.json").exists(), done.stdout
    results = json.loads((target / "run_results.json").read_text())["results"]
    build_all(project, warehouse, demo)
    with duckdb.connect(str(target / "dbt.duckdb")) as con, warehouse.connect() as own:
        theirs = {row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()}
        assert theirs == set(project.models), done.stdout
        for name in project.models:
            described = f"select column_name, data_type from duckdb_columns() where table_name = '{name}'"
            rows = f"select t::varchar from main.{name} t order by all"
            assert own.execute(described).fetchall() == con.execute(described).fetchall()
            assert own.execute(rows).fetchall() == con.execute(rows).fetchall()
        found = {t.name: run_test(own, project, t) for t in project.tests}
        spoken = own.execute("select round(speech_seconds, 3), speech_cut from main.clip_voice order by all").fetchall()
    assert spoken == [(0, False), (0, False), (0.45, True), (0.75, True), *[(None, None)] * 4]
    words = {"pass": "pass", "warn": "warn", "error": "fail"}
    ours = {n: (words[r.status], r.failures if r.status != "pass" else 0) for n, r in found.items()}
    told = {r["unique_id"].split(".")[2]: (r["status"], r["failures"]) for r in results if "test." in r["unique_id"]}
    assert {("unique_order" if n.startswith("unique") else n): v for n, v in told.items()} == ours
    assert set(ours.values()) >= {("fail", 3), ("warn", 3), ("pass", 0), ("warn", 1)}
