"""Cutting a WHERE at its ANDs: the pieces keep the rows that the whole keeps, whatever DuckDB takes as a condition."""

import functools
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.errors import ProjectError
from arot_assets.subsets.model import Model, ModelConfig
from arot_assets.subsets.predicates import split
from arot_assets.subsets.table_docs import TableDocs
from arot_assets.subsets.waterfall import compute_waterfall
from tests.tiers import draws

TABLE = """create table t as select i::varchar as sample_id, nullif(i % 7, 3) as a, nullif(i % 5, 2) as b, i % 3 as "and",
    case i % 4 when 0 then null when 1 then 'x and y' when 2 then 'it''s -- no' else 'größe' end as c,
    [s for s in ['red', 'between', 'and'] if len(s) > i % 6] as tags, {'k': i % 2, 'where': i} as s,
    ('{"k": ' || i % 3 || '}')::json as j from range(60) r(i)"""


def model(sql: str) -> Model:
    return Model("m", Path("m.sql"), sql, ModelConfig(tags=("subset",)), TableDocs("m", Path("m.sql"), 1))


@functools.cache
def database() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute(TABLE)
    return con


def connect() -> duckdb.DuckDBPyConnection:
    return database().cursor()  # opening a database costs more than all that is asked of it


def texts(sql: str, plain: bool = True) -> list[str]:
    """The predicates of a subset, after proving that they keep what its WHERE keeps and count as they filter."""
    selection = split(sql, model(sql))
    with connect() as con:
        again = con.execute(f"{selection.probe([], where=True, qualify=True)}").fetchall()
        rows = con.execute(sql).fetchall()
        assert sorted(map(repr, again)) == sorted(map(repr, rows))
        found = compute_waterfall(con, selection)
        assert found.kept == len(rows)
        for step, predicate in zip(found.steps, selection.predicates, strict=False):
            if plain:  # over the table itself
                alone = con.execute(f"select count(*) from t where {predicate.text}").fetchone()
                assert alone == (found.total - step.removed_alone,)
    return [p.text for p in selection.all_predicates]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param("a > 1 and b < 4", ["a > 1", "b < 4"], id="plain"),
        pytest.param(
            "a between 1 and 4 and b between 0 and 3", ["a between 1 and 4", "b between 0 and 3"], id="between"
        ),
        pytest.param("a between (case when b > 1 and a > 0 then 0 end) and 4 and b > 0", 2, id="case inside between"),
        pytest.param("(a > 1 and b < 4) and (a < 6 or b > 0 and a > 2)", 2, id="brackets stay whole"),
        pytest.param("a > 1 or b < 4 and a < 3", 1, id="or outside is one predicate"),
        pytest.param("not a > 1 and not b < 4", 2, id="not"),
        pytest.param("(a, b) in ((1, 1), (2, 4)) and a > 0", 2, id="rows"),
        pytest.param("a > all (select x from range(2) r(x) where x > 0 and x < 9) and b > 0", 2, id="subquery"),
        pytest.param("exists (from range(3) r(x) where x = a and x = b) and b > 0", 2, id="correlated, FROM first"),
        pytest.param("columns(*) is not null and a > 1", ["columns(*) is not null", "a > 1"], id="every column"),
        pytest.param("columns('^(a|b)$') > 1 and c like '%and%'", 2, id="columns of a pattern"),
        pytest.param("columns(n -> n in ('a', 'b')) > 1 and true", 2, id="columns by lambda"),
        pytest.param("len([t for t in tags if len(t) > 3 and t <> 'x']) > 0 and a > 1", 2, id="list comprehension"),
        pytest.param("len(list_filter(tags, lambda x: x > 'b' and x < 'z')) > 0 and a > 1", 2, id="lambda"),
        pytest.param("tags[1:2] = ['red', 'between'] and s.k = 1", 2, id="slice and struct"),
        pytest.param("s['where'] > 3 and {'and': a}['and'] > 1", 2, id="keys that are keywords"),
        pytest.param("j->>'$.k' = '1' and (j->'k')::int > 0", 2, id="JSON arrows"),
        pytest.param('"and" > 0 and t."and" < 2', 2, id="a column named and"),
        pytest.param("c = 'x and y' and c <> 'it''s -- no'", 2, id="and in a string"),
        pytest.param("c = $$x and y$$ and c <> $q$ and $q$ and a > 0", 3, id="dollar quotes"),
        pytest.param(r"c <> E'a\'and b' and a > 1", 2, id="escape string"),
        pytest.param("a > 1 /* and b */ and b > 0 -- and nothing", 2, id="and in comments"),
        pytest.param("c > 'größe' and c <> 'ü' and a > 1", 3, id="letters of several bytes"),
        pytest.param("c is distinct from 'x' and a is not distinct from b", 2, id="distinct from"),
        pytest.param("extract(day from date '2024-01-01') = 1 and a > 1", 2, id="from inside a function"),
        pytest.param("a > 1 and count(*) filter (where b > 0) over () > 0", None, id="window in WHERE is no SQL"),
        pytest.param("a::int[] is null and try_cast(c as int) is null", None, id="a cast that does not run"),
        pytest.param("a > 1 AND\n\tb\n>\n0\nAnd true", ["a > 1", "b\n>\n0", "true"], id="lines and case"),
        pytest.param("c similar to '.*and.*' and c not ilike 'X%' escape '!'", 2, id="patterns"),
        pytest.param("a % 2 = 0 and -b < 0 and b - -1 > 0 and a ** 2 > 1", 4, id="operators"),
        pytest.param("case when a > 1 then b > 0 and a < 5 else false end and b > 0", 2, id="case of conditions"),
    ],
)
def test_pieces_keep_what_the_whole_keeps(where: str, expected: list[str] | int | None):
    sql = f"select sample_id, a from t where {where}"
    if expected is None:
        with pytest.raises(duckdb.Error):
            texts(sql)
        return
    found = texts(sql)
    assert found == expected if isinstance(expected, list) else len(found) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "select sample_id from t where a > 0 window w as (order by b, sample_id) qualify row_number() over w <= 5",
        "select sample_id from t window w as (order by b, sample_id), v as (partition by a) qualify row_number() over w <= 5",
        "select sample_id, rank() over w as r from t where a > 1 window w as (order by b) order by r",
        "with q as (select * from t where a > 1 and b > 0) select sample_id, from q where a < 5;",
        "with recursive r as (select 1 as n union all select n + 1 from r where n < 3) select sample_id from t, r where a = n",
        "with q as materialized (select * from t) select q.* from q left join t using (sample_id) where t.a > 2",
        "select sample_id, a as x from t where x > 1 and x < 5 qualify count(*) over (partition by x) > 1",
        "select sample_id from (from t where a > 1) as u where u.b > 0 -- the end",
        'select sample_id from t as "order" where "order".a > 1 and \'from\' <> c',
        "select sample_id, case when a is distinct from b then 1 end as d from t where d = 1",
        "select sample_id from t positional join (select 1 as one) where a > 0",
        "select sample_id, unnest(tags) as tag from t where a > 1",
    ],
)
def test_every_shape_of_a_selection_is_put_together_again(sql: str):
    texts(sql, plain=False)


ATOMS = [
    "a > 2",
    "b between 1 and 3",
    "not b between 1 and 3",
    "c = 'x and y'",
    "c is distinct from 'größe'",
    "a in (1, 2, 4)",
    "len([t for t in tags if len(t) > 3]) > 1",
    "case when a > 1 and b > 1 then true end",
    "columns('^[ab]$') > 0",
    '"and" <> 1',
    "s.k = 1",
    "c like '%and%' -- and so on\n",
    "a is null /* and */",
]
conditions = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.builds("{} and {}".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("({})".format, inner),
        st.builds("case when {} then {} else false end".format, inner, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=draws(150), deadline=None)
@given(where=conditions)
def test_any_condition_is_cut_into_pieces_that_keep_its_rows(where: str):
    with connect() as con:
        try:
            con.execute(f"select count(*) from t where {where}")
        except duckdb.Error:  # columns() may not stand everywhere: no model either
            return
    assert texts(f"select sample_id from t where {where}\norder by a")


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("select sample_id from t where random() < 0.5", "random()"),
        ("select sample_id from t where a > 1 and uuid()::varchar > '8'", "uuid()"),
        ("select sample_id from t tablesample bernoulli(30%) where a > 1", "TABLESAMPLE"),
        ("select sample_id from t tablesample reservoir(3 rows) repeatable (1)", "TABLESAMPLE"),
        ("with q as (select * from t where random() < .5) select sample_id from q where a > 1", "random()"),
        ("select sample_id from (select * from t using sample 5) where a > 1", "TABLESAMPLE"),
        ("select sample_id, random() as r from t where r < 0.5", "random()"),
        ("select sample_id from t qualify row_number() over (order by random()) < 5", "random()"),
        ("select sample_id, uuid() as u from t where a > 1", None),
        ("select sample_id from t where hash(sample_id) % 100 < 50", None),
    ],
)
def test_what_is_drawn_by_lot_is_known(sql: str, what: str | None):
    assert split(sql, model(sql)).lottery == what


@pytest.mark.parametrize(
    ("where", "columns"),
    [
        ("len([x for x in tags if len(x) > a]) > 0", ("tags", "a")),
        ("list_filter(tags, lambda x, i: x > c and i > 1) = []", ("tags", "c")),
        ("list_transform(tags, x -> x || c)[1] > 'a'", ("tags", "c")),
        ("j->>'$.k' = '1'", ("j",)),
        ("t.a > 1 and exists (select 1 from range(3) r(x) where x > 0)", ("t.a",)),
        ("a in (select x from range(3) r(x))", ("a",)),
        ('"and" > 1 and "my col" > 2', ('"and"', '"my col"')),
        ("s.k > 1", ("s.k",)),
    ],
)
def test_columns_are_those_of_from_and_no_parameter_of_a_lambda(where: str, columns: tuple[str, ...]):
    sql = f"select sample_id from t where ({where})"
    assert split(sql, model(sql)).predicates[0].columns == columns


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select sample_id from t limit 3", "cannot have LIMIT"),
        ("select distinct sample_id from t", "cannot have DISTINCT"),
        ("select sample_id from t group by all", "cannot have GROUP BY"),
        ("select sample_id from t using sample 3", "cannot have USING SAMPLE"),
        ("select sample_id from t intersect select sample_id from t", "not a UNION"),
        ("values ('a')", "SELECT … FROM … WHERE"),
        ("(select sample_id from t)", "without brackets"),
        ("select 1; select 2", "one SELECT without anything after it"),
        ("drop table t", "one SELECT without anything after it"),
        ("-- nothing", "is empty"),
        ("select sample_id from t where", "syntax error"),
    ],
)
def test_what_is_no_subset_is_said(sql: str, says: str):
    with pytest.raises(ProjectError, match=says):
        split(sql, model(sql))
