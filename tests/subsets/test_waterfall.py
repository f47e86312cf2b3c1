"""The waterfall counts what each predicate removes, whatever the values are."""

import functools
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.subsets.model import Model, ModelConfig
from arot_assets.subsets.predicates import split
from arot_assets.subsets.table_docs import TableDocs
from arot_assets.subsets.waterfall import Waterfall, compute_waterfall
from tests.tiers import draws

Row = dict[str, int | str | None]
Judge = Callable[[Row], bool | None]


def either(*judges: Judge) -> Judge:
    """SQL's OR: true wins, then null."""

    def judge(row: Row) -> bool | None:
        values = [j(row) for j in judges]
        return True if True in values else None if None in values else False

    return judge


def on(column: str, test: Callable[[int], bool]) -> Judge:
    """A comparison with one column: null if it is null."""
    return lambda row: None if row[column] is None else test(row[column])  # type: ignore[arg-type]


PREDICATES: dict[str, Judge] = {
    "a >= 3": on("a", lambda a: a >= 3),
    "b between 2 and 5": on("b", lambda b: 2 <= b <= 5),
    "not b between 2 and 5": on("b", lambda b: not 2 <= b <= 5),
    "(a > 4 or\n b between 1 and 2)": either(on("a", lambda a: a > 4), on("b", lambda b: 1 <= b <= 2)),
    "c = 'this and -- that'": on("c", lambda c: c == "this and -- that"),
    "c is distinct from 'where'": lambda row: row["c"] != "where",
    "case when a > 2 and b > 2 then true else false end": lambda row: (row["a"] or 0) > 2 and (row["b"] or 0) > 2,
    "a in (select k from keys where k > 1 and k < 6)": on("a", lambda a: 1 < a < 6),
    "b is not null": lambda row: row["b"] is not None,
    '(case when "end" > 1 then a end) > 0': lambda row: (
        None if row["end"] is None or row["end"] <= 1 or row["a"] is None else row["a"] > 0
    ),
    "true": lambda _row: True,
}
small = st.one_of(st.none(), st.integers(0, 7))
rows = st.lists(
    st.fixed_dictionaries(
        {"a": small, "b": small, "end": small, "c": st.sampled_from([None, "this and -- that", "where", "x"])}
    ),
    max_size=30,
)
chosen = st.lists(st.sampled_from(sorted(PREDICATES)), min_size=1, max_size=6)


def model(sql: str) -> Model:
    return Model("m", Path("m.sql"), sql, ModelConfig(tags=("subset",)), TableDocs("m", Path("m.sql"), 1))


@functools.cache
def database() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("create table keys as select range as k from range(8)")
    return con


def connect(values: list[Row]) -> duckdb.DuckDBPyConnection:
    con = database().cursor()  # opening a database costs more than all that is asked of it
    kinds = {"sample_id": pa.string(), "a": pa.int64(), "b": pa.int64(), "end": pa.int64(), "c": pa.string()}
    con.register(
        "t", pa.Table.from_pylist([{"sample_id": str(i), **r} for i, r in enumerate(values)], pa.schema(kinds))
    )
    return con


def count(values: list[Row], sql: str) -> Waterfall:
    with connect(values) as con:
        found = compute_waterfall(con, split(sql, model(sql)))
        kept = con.execute(f"select count(*) from (\n{sql}\n)").fetchone()
    assert (found.kept,) == kept
    return found


@settings(max_examples=draws(150), deadline=None)
@given(rows=rows, texts=chosen, comment=st.booleans())
def test_counts_are_those_of_judging_every_row_by_hand(rows: list[Row], texts: list[str], comment: bool):
    tail = "  -- a label" if comment else ""
    sql = "select * from t\nwhere " + "\n    AND ".join(f"{t}{tail}" for t in texts) + "\norder by a"
    found = count(rows, sql)

    left = rows
    assert found.total == len(rows)
    assert [s.text for s in found.steps] == texts
    assert {s.label for s in found.steps} == {"a label" if comment else None}
    for step, text in zip(found.steps, texts, strict=True):
        judge = PREDICATES[text]
        assert step.removed_alone == sum(judge(r) is not True for r in rows)
        kept = [r for r in left if judge(r) is True]
        assert step.removed_in_order == len(left) - len(kept)
        assert step.kept == len(kept)
        left = kept
    assert found.kept == len(left)
    assert found.total - sum(s.removed_in_order for s in found.steps) == found.kept


@settings(max_examples=draws(50), deadline=None)
@given(rows=rows, text=st.sampled_from(sorted(PREDICATES)))
def test_qualify_is_the_last_step_and_looks_at_what_where_left(rows: list[Row], text: str):
    sql = f"select * from t where {text} qualify row_number() over (partition by b order by sample_id) = 1 -- one of each b"
    found = count(rows, sql)
    left = [r for r in rows if PREDICATES[text](r) is True]
    last = found.steps[-1]
    assert last.label == "one of each b"
    assert last.removed_alone == len(rows) - len({r["b"] for r in rows})
    assert last.removed_in_order == len(left) - len({r["b"] for r in left})


def test_join_cte_and_select_alias_are_counted_as_they_run():
    sql = """
    with big as (select sample_id, a + b as total from t where a > 0 and b > 0)
    select t.*, total is distinct from 3 as odd, total * 2 as twice,
    from t
    left join big using (sample_id)
    where total > 2 /* not a label */
      and twice < 20 -- by its alias
    """
    found = count([{"a": i % 4, "b": i % 5, "end": 0, "c": None} for i in range(40)], sql)
    assert [(s.text, s.label) for s in found.steps] == [("total > 2", None), ("twice < 20", "by its alias")]


def test_subset_without_where_keeps_everything():
    found = count([{"a": 1, "b": 1, "end": 1, "c": None}], "select * from t")
    assert found == Waterfall(1, (), 1)


def test_empty_table_has_an_empty_waterfall():
    found = count([], "select * from t where a > 1")
    assert (found.total, found.kept, found.steps[0].removed_alone) == (0, 0, 0)
    assert "–" in found.to_markdown()


@pytest.mark.parametrize("sql", ["from t select sample_id where a > 1", "from t where a > 1"])
def test_from_before_select_is_refused_with_a_remedy(sql: str):
    with pytest.raises(Exception, match="in this order"):
        split(sql, model(sql))


def test_markdown_table_escapes_what_would_break_it():
    found = count([{"a": 1, "b": 1, "end": 1, "c": None}], "select * from t where c || 'x' = 'y' -- either | or")
    assert "`c \\|\\| 'x' = 'y'` |" in found.to_markdown() and "| either \\| or |" in found.to_markdown()


def test_waterfall_survives_json():
    found = count([{"a": 1, "b": 1, "end": 1, "c": None}], "select * from t where a > 0")
    assert Waterfall.from_dict(found.to_dict()) == found


def test_terminal_shows_counts_aligned_and_labels_before_predicates():
    values: list[Row] = [{"a": i, "b": 1, "end": 1, "c": None} for i in range(4)]
    found = count(values, "select * from t where a > 0 -- some\n and b = 1")
    lines = [" ".join(line.replace("\N{NO-BREAK SPACE}", "").split()) for line in found.to_text().splitlines()]
    assert lines == ["kept of all removes alone", "4 100.0% all rows", "3 75.0% 1 1 some: a > 0", "3 75.0% 0 0 b = 1"]
