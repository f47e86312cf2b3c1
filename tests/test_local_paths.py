"""What leaves this machine holds no absolute local path, and a person's words stay as they are."""

import json
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.local_paths import TOP, LocalPaths, shown_source

ROOTS = ("/data/my pics", "/srv/pics/in", "/srv/pics", "s3://bucket/all")
PATHS = LocalPaths(ROOTS)

names = st.text("abcXYZ019_-éж中", min_size=1, max_size=6)
files = st.builds("{}.{}".format, names, st.sampled_from(["jpg", "png", "txt"]))
tops = st.sampled_from(["home/me", "mnt", "tmp", "Users/Jo Do", "old place", "x"])
posix = st.builds(
    lambda top, middle, file: "/" + "/".join([top, *middle, file]), tops, st.lists(names, max_size=3), files
)
windows = st.builds(
    lambda drive, slash, middle, file: slash.join([drive, *middle, file]),
    st.sampled_from(["C:", "d:", "\\\\nas"]), st.just("\\"), st.lists(names, min_size=1, max_size=3), files,
)  # fmt: skip
paths = st.one_of(posix, windows, posix.map("file://{}".format), posix.map(lambda p: "~" + p))
ABSOLUTE = re.compile(
    rf"(?<![\w.\\/])(?:/+(?:{TOP}|old place|x)/\S|[A-Za-z]:[\\/]+\w|\\\\+\w+\\+\w|file:|~/)|(?:{'|'.join(ROOTS)})/",
    re.I,
)
"""An own, coarser idea of what no text may hold."""


def wrapped(path: str, way: str) -> str:
    """A path as it stands in texts of some kinds."""
    return {
        "bare": path,
        "reason": f"cannot read '{path}': No such file or directory",
        "json": json.dumps({"file": path, "n": 1.5, "more": [path]}, ensure_ascii=False),
        "json in json": json.dumps(
            {"workflow": json.dumps({"inputs": {"image": path}}, ensure_ascii=False)}, ensure_ascii=False
        ),
        "list": f"{path}, {path}",
        "quoted": f'a cat; source "{path}"',
        "lines": f"first\n{path}\nlast",
    }[way]


WAYS = st.sampled_from(["bare", "reason", "json", "json in json", "list", "quoted", "lines"])


@given(paths, WAYS)
def test_no_text_keeps_an_absolute_path_and_every_text_keeps_the_name(path: str, way: str) -> None:
    if " " in path and way == "list":
        return  # nobody can tell where such a path ends, and the words that stay are no path
    shown = PATHS.removed(wrapped(path, way))
    assert not ABSOLUTE.search(shown), shown
    assert re.split(r"[\\/]", path)[-1] in shown
    assert PATHS.removed(shown) == shown


@given(st.sampled_from(ROOTS), st.lists(names, max_size=2), files, WAYS)
def test_what_lies_below_a_source_is_told_from_there(root: str, middle: list[str], file: str, way: str) -> None:
    below = "/".join([*middle, file])
    assert PATHS.removed(wrapped(f"{root}/{below}", way)) == wrapped(below, way)


@given(st.text(st.sampled_from("ab1 .,:;'\"()[]{}<>|\\/~%-_\n!?é"), max_size=30))
def test_a_second_look_changes_nothing(text: str) -> None:
    once = PATHS.removed(text)
    assert PATHS.removed(once) == once and len(once) <= len(text) + text.count("\\")


@pytest.mark.parametrize(
    "words",
    [
        "black/white photo, and/or both, 1/2, 24/7, he/him, km/h", "a cat w/ a hat /s", "/imagine a cat w/ a hat", "fate/stay_night",
        ":/ =/ \\m/ \\o/ D:/ :\\", "\\(cat\\), (a)/(b)/(c)", "</b></i><br/>", "C++/C#/Java", "50%/50%/x", "男/女/猫", "I ~ you/me",
        "https://e.org/home/a.jpg", "s3://other/home/a.jpg", "hf://datasets/o/n@main/x.jpg", "a.tar!/home/x.jpg", "sea/x.jpg",
        "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQAAAQABAAD", '{"thumb": "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBD"}', '{"a": 1.50, "b": "c\\nd"}',
    ],
)  # fmt: skip
def test_words_of_people_and_addresses_that_all_can_reach_stay(words: str) -> None:
    assert PATHS.removed(words) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/my pics", "my pics"),
        ("From /data/my pics.", "From my pics."),
        ("/data/my pics2/z.jpg", "z.jpg"),
        ("/srv/pics/in/a.jpg", "a.jpg"),
        ("/mnt/srv/pics/a.jpg", "a.jpg"),
        ("file:///data/my%20pics/sea/x.jpg", "sea/x.jpg"),
        ("file:///home/al%20ice/x%20y.jpg", "x y.jpg"),
        ("/data/my pics/a.tar!/b/x.jpg", "a.tar!/b/x.jpg"),
        ("/mnt/old/a.tar!/b/x.jpg", "a.tar!/b/x.jpg"),
        ("s3://bucket/all/x.jpg", "x.jpg"),
        ("/home/alice, C:\\Users\\alice, /Users/alice/", "~, ~, ~"),
        ("/root/.cache and /tmp", ".cache and tmp"),
        ("~/pics/x.jpg", "x.jpg"),
        ("~bob/x.jpg", "x.jpg"),
        ("/Users/John Smith/Desktop/x.png was lost", "x.png was lost"),
        ('{"p": "C:\\\\Users\\\\John Smith\\\\x.png"}', '{"p": "x.png"}'),
        ("http://127.0.0.1:7860/file=/home/a/x.png", "http://127.0.0.1:7860/file=x.png"),
        ("select * from read_parquet('/srv/d/*.parquet')", "select * from read_parquet('*.parquet')"),
        ("line\\n/home/a/x.png", "line\\nx.png"),
        ("PATH=/usr/bin:/home/a/bin", "PATH=bin:bin"),
        ("路径/home/me/x.jpg", "路径x.jpg"),
        ("\\/home\\/me\\/x.png", "x.png"),
    ],
)
def test_what_stays_of_a_path(text: str, shown: str) -> None:
    assert PATHS.removed(text) == shown


leaf = st.none() | st.text(max_size=3) | posix
nested: Any = st.fixed_dictionaries(
    {
        "text": leaf,
        "number": st.none() | st.integers(0, 9),
        "list": st.none() | st.lists(st.none() | st.lists(leaf, max_size=2), max_size=2),
        "inner": st.none() | st.fixed_dictionaries({"a": leaf, "b": st.none() | st.lists(leaf, max_size=2)}),
        "map": st.none() | st.lists(st.tuples(st.just("a"), leaf), max_size=2),
        "pair": st.none() | st.lists(leaf, min_size=2, max_size=2),
    }
)
SCHEMA = pa.schema(
    {
        "text": pa.large_string(),
        "number": pa.int16(),
        "list": pa.list_(pa.list_(pa.string())),
        "inner": pa.struct({"a": pa.string(), "b": pa.list_(pa.string())}),
        "map": pa.map_(pa.string(), pa.string()),
        "pair": pa.list_(pa.string(), 2),
    }
)


@given(st.lists(nested, max_size=6), st.integers(0, 3))
def test_texts_of_any_depth_are_looked_at_and_nothing_else_changes(rows: list[dict[str, Any]], start: int) -> None:
    def expected(value: Any) -> Any:
        if isinstance(value, str):
            return PATHS.removed(value)
        if isinstance(value, list):
            return [expected(one) for one in value]
        if isinstance(value, tuple):
            return tuple(map(expected, value))
        return {k: expected(v) for k, v in value.items()} if isinstance(value, dict) else value

    batch = pa.RecordBatch.from_pylist(rows, SCHEMA)[start:]  # a slice: nothing may rely on where buffers begin
    found = pa.RecordBatch.from_arrays([PATHS.removed_from(column) for column in batch.columns], schema=SCHEMA)
    assert found.to_pylist() == [expected(row) for row in rows[start:]]


@pytest.mark.parametrize("text", ["/a" * 50_000, "~/" * 50_000, "a:\\" * 20_000, "/" + "a." * 50_000, '"/a ' * 50_000])
def test_absurd_texts_take_time_in_proportion_to_their_length(text: str) -> None:
    assert len(PATHS.removed(text)) <= len(text)  # a square of the length would take hours


def test_a_source_is_shown_without_folders_and_queries() -> None:
    assert shown_source("/data/my pics/") == "my pics"
    assert shown_source("https://e.org/list.csv?token=x#y") == "https://e.org/list.csv"
    assert shown_source("hf://datasets/o/n") == "hf://datasets/o/n"
