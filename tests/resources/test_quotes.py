"""Tab-separated values with quotes and without: each is read as it was written, by lists and by notebooks alike."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arot_assets.datasets.sources.rows import read_rows
from resources import notebook as nb
from resources.storage import Storage

Rows = list[tuple[str, int, str]]
NAMES = ("text", "n", "url")


def by_csv(quoting: Any, end: str = "\n") -> Callable[[Path, Rows], None]:
    def write(path: Path, rows: Rows) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter="\t", quoting=quoting, lineterminator=end).writerows([NAMES, *rows])

    return write


def by_pandas(quoting: Any) -> Callable[[Path, Rows], None]:
    def write(path: Path, rows: Rows) -> None:
        pd.DataFrame(rows, columns=list(NAMES)).to_csv(path, sep="\t", index=False, quoting=quoting)

    return write


def by_pyarrow(style: str) -> Callable[[Path, Rows], None]:
    return lambda path, rows: pacsv.write_csv(
        table_of(rows), path, pacsv.WriteOptions(delimiter="\t", quoting_style=style)
    )


def by_duckdb(options: str) -> Callable[[Path, Rows], None]:
    def write(path: Path, rows: Rows) -> None:
        with duckdb.connect() as con:
            con.register("written", table_of(rows))
            con.execute(f"copy written to '{path}' (format csv, header, delimiter '\t'{options})")

    return write


def table_of(rows: Rows) -> pa.Table:
    kinds = (pa.string(), pa.int64(), pa.string())
    return pa.table([pa.array([row[n] for row in rows], kind) for n, kind in enumerate(kinds)], names=NAMES)


WRITERS = {
    "csv": by_csv(csv.QUOTE_MINIMAL),
    "csv, all": by_csv(csv.QUOTE_ALL),
    "csv, texts": by_csv(csv.QUOTE_NONNUMERIC),
    "csv of Windows": by_csv(csv.QUOTE_MINIMAL, "\r\n"),
    "pandas": by_pandas(csv.QUOTE_MINIMAL),
    "pandas, all": by_pandas(csv.QUOTE_ALL),
    "pandas, texts": by_pandas(csv.QUOTE_NONNUMERIC),
    "pyarrow": by_pyarrow("needed"),
    "pyarrow, all": by_pyarrow("all_valid"),
    "duckdb": by_duckdb(""),
    "duckdb, one column": by_duckdb(", force_quote (text)"),
    "duckdb, all": by_duckdb(", force_quote *"),
}
TEXTS = st.text(st.sampled_from("ab\"\n,# é'"), max_size=8) | st.text(st.sampled_from('a"\t# é'), max_size=8)


def read_both(path: Path) -> tuple[list[Any], list[Any]]:
    """The texts and numbers, as a list of URLs is read and as a notebook reads them; nothing and an empty text are the same."""
    listed = [None if row is None else (row["text"], int(row["n"])) for _, row in read_rows(Storage(), str(path))]
    table = nb.loads(path, as_="arrow", types={"text": "string"})
    return listed, list(zip((t or "" for t in table["text"].to_pylist()), table["n"].to_pylist(), strict=True))


@pytest.mark.parametrize("writer", WRITERS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_what_a_writer_of_quotes_wrote_is_read_back(tmp_path: Path, writer: str, texts: list[str]) -> None:
    rows = [(text, n, f"http://one.example/{n}.jpg") for n, text in enumerate(texts)]
    WRITERS[writer](tmp_path / "a.tsv", rows)
    wanted = [(text, n) for text, n, _ in rows]
    assert read_both(tmp_path / "a.tsv") == (wanted, wanted)


PLAIN = st.text(st.sampled_from("ab\",# é'"), min_size=1, max_size=8).filter(lambda t: t.strip() == t != '"')


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(PLAIN, max_size=5),
    odd=st.sampled_from(['a 12" disc', '"opens', 'closes"', '"a" b', 'a "b" c', '" a']),
)
def test_without_quoting_a_quote_mark_is_a_character(tmp_path: Path, texts: list[str], odd: str) -> None:
    rows = [(text, n) for n, text in enumerate([*texts, odd])]
    (tmp_path / "a.tsv").write_text("text\tn\n" + "".join(f"{text}\t{n}\n" for text, n in rows), newline="")
    assert read_both(tmp_path / "a.tsv") == (rows, rows)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(['"whole"', "none"], id="one text in quotes among others"),
        pytest.param(['"one"', '"two"'], id="every text in quotes, beside addresses without"),
        pytest.param(['"she said', "nothing", 'he said"'], id="one begins, another ends with a mark"),
        pytest.param(['"she said', 'he said"'], id="one begins, the next ends with a mark"),
    ],
)
def test_what_could_be_quoting_and_is_not(tmp_path: Path, texts: list[str]) -> None:
    lines = [f"{text}\t{n}\thttp://one.example/{n}.jpg\n" for n, text in enumerate(texts)]
    (tmp_path / "a.tsv").write_text("text\tn\turl\n" + "".join(lines))
    wanted = [(text, n) for n, text in enumerate(texts)]
    assert read_both(tmp_path / "a.tsv") == (wanted, wanted)


def test_numbers_without_quotes_beside_texts_in_quotes(tmp_path: Path) -> None:
    pacsv.write_csv(
        pa.table({"text": ["a cat", "a dog"], "n": [1, 2], "x": [0.5, None], "ok": [True, False]}),
        tmp_path / "a.tsv",
        pacsv.WriteOptions(delimiter="\t"),
    )
    assert read_both(tmp_path / "a.tsv") == ([("a cat", 1), ("a dog", 2)],) * 2
