"""The notebook functions where unibox fails: each test names one of its failures and shows that ours is right."""

import concurrent.futures
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from resources import notebook as nb
from resources.storage import Storage, StorageError
from tests.conftest import DATA, REPOSITORY
from tests.notebook.values import FRAME, picture
from tests.servers.http import Reply, WebServer, throttled
from tests.servers.swift import Swift

FAULTS = DATA / "faults"


def run_python(code: str, *, without: tuple[str, ...] = ()) -> str:
    """Run code in a new interpreter in which some packages cannot be imported."""
    block = "".join(f"sys.modules[{name!r}] = None\n" for name in without)
    hide = (
        "import importlib.util, sys\n"
        "_find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *a: None if name in {without!r} else _find(name, *a)\n"
    )
    done = subprocess.run([sys.executable, "-c", hide + block + code], cwd=REPOSITORY, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_needs_nothing_optional_and_loads_nothing_heavy() -> None:
    optional = ("pandas", "polars", "requests", "anywidget", "IPython", "tomli_w")
    heavy = ("PIL", "torch", "boto3", "s3fs", "aiohttp", "pyarrow", "cv2")
    code = f"from resources import notebook as nb\nprint([m for m in {heavy!r} if m in sys.modules])"
    assert run_python(code, without=optional).strip() == "[]"


def test_without_pandas_a_table_says_what_to_install_and_arrow_works(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,word\n1,one\n")
    code = (
        "from resources import notebook as nb\n"
        f"print(nb.loads({str(tmp_path / 'a.csv')!r}, as_='arrow').to_pylist())\n"
        f"try: nb.loads({str(tmp_path / 'a.csv')!r})\n"
        "except nb.StorageError as error: print(error)\n"
    )
    printed = run_python(code, without=("pandas",))
    assert "[{'n': 1, 'word': 'one'}]" in printed and "pip install 'arot[notebook]'" in printed


def test_objects_of_one_basename_never_meet(root: str, tmp_path: Path) -> None:
    uris = [f"{root}/{n}/1.json" for n in range(60)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda pair: nb.saves({"n": pair[0]}, pair[1]), enumerate(uris)))
    loaded = nb.concurrent_loads(uris, progress=False)
    assert [one.unwrap() for one in loaded] == [{"n": n} for n in range(60)]
    for folder in (None, tmp_path / "here"):
        files = [one.unwrap() for one in nb.concurrent_downloads(uris, folder, progress=False)]
        assert len(set(files)) == 60
        assert [nb.loads(file) for file in files] == [{"n": n} for n in range(60)]


def test_downloads_stay_below_their_folder(tmp_path: Path, open_web: WebServer) -> None:
    open_web.serve("/a/../../../escape.txt", Reply(body=b"x"))
    url = f"{open_web.endpoint}/a/../../../escape.txt"
    (result,) = nb.concurrent_downloads([url], tmp_path / "folder", progress=False)
    assert result.error is not None and ".." in str(result.error)
    assert not list(tmp_path.rglob("escape.txt"))


def test_urls_that_differ_in_their_query_are_two_files(tmp_path: Path, open_web: WebServer) -> None:
    for path in ("/get", "/get.jpg"):
        open_web.serve(path, Reply(body=b"x"))
    urls = [f"{open_web.endpoint}/{path}?id={n}" for n in range(3) for path in ("get", "get.jpg")]
    files = [one.unwrap() for one in nb.concurrent_downloads(urls, tmp_path, progress=False)]
    assert len(set(files)) == 6 and [file.suffix for file in files] == ["", ".jpg"] * 3


def test_the_same_tree_lists_the_same_everywhere(root: str) -> None:
    names = ["data/a.JPG", "data/b.jpg", "data/deep/er/c.Jpeg", "data/d.txt", "data2/e.jpg", "data.jpg"]
    for name in names:
        nb.default_storage().write(f"{root}/{name}", b"x")
    assert nb.ls(f"{root}/data", relative=True) == ["a.JPG", "b.jpg", "d.txt", "deep/er/c.Jpeg"]
    assert nb.ls(f"{root}/data/", exts=[".JPG", "jpeg"], relative=True) == ["a.JPG", "b.jpg", "deep/er/c.Jpeg"]
    assert nb.ls([f"{root}/data2", f"{root}/data"], exts="jpg") == [
        f"{root}/data2/e.jpg",
        f"{root}/data/a.JPG",
        f"{root}/data/b.jpg",
    ]
    assert nb.ls([root, f"{root}/data"], exts="txt") == [f"{root}/data/d.txt"]
    assert nb.ls(f"{root}/data.jpg") == [f"{root}/data.jpg"]
    for uri in nb.ls(root):
        assert nb.default_storage().read_bytes(uri) == b"x"
    with pytest.raises(StorageError) as error:
        nb.ls(f"{root}/dat")
    assert error.value.kind == "not_found"


def test_failures_are_results_with_their_reason_in_order(root: str) -> None:
    good = nb.saves({"n": 1}, f"{root}/good.json")
    null = nb.saves(None, f"{root}/null.json")
    nb.default_storage().write(f"{root}/bad.json", b"{")
    seen: list[int] = []
    loaded = nb.concurrent_loads([good, f"{root}/missing.json", f"{root}/bad.json", null, good], progress=seen.append)
    assert [one.ok for one in loaded] == [True, False, False, True, True]
    assert [one.error.kind if one.error else "" for one in loaded] == ["", "not_found", "format", "", ""]
    assert loaded[3].unwrap() is None
    assert [one.uri for one in loaded][1:3] == [f"{root}/missing.json", f"{root}/bad.json"]
    assert sum(seen) == 5
    assert loaded[1].tries == 1, "what is not there is not asked for again"
    with pytest.raises(StorageError, match="missing"):
        loaded[1].unwrap()


def test_a_server_that_stumbles_is_asked_again(open_web: WebServer) -> None:
    stumbling = open_web.serve("/a.json", throttled(0.1, 503), throttled(0.1), Reply(body=b"[1]"))
    gone = f"{open_web.endpoint}/gone.json"
    first, second = nb.concurrent_loads([stumbling, gone], progress=False)
    assert first.unwrap() == [1] and open_web.count("/a.json", "GET") == 3
    assert second.error is not None and open_web.count("/gone.json", "GET") == 1


def test_a_page_that_changed_is_read_anew(open_web: WebServer, root: str) -> None:
    url = open_web.serve("/a.txt", Reply(body=b"old\n", etag="1"))
    assert nb.loads(url) == ["old"] and nb.download(url).read_bytes() == b"old\n"
    open_web.serve("/a.txt", Reply(body=b"new\n", etag="2"))
    assert nb.loads(url) == ["new"] and nb.download(url).read_bytes() == b"new\n"
    uri = nb.saves(["old"], f"{root}/a.txt")
    assert nb.download(uri).read_text() == "old\n"
    nb.saves(["newer"], uri)
    assert nb.loads(uri) == ["newer"] and nb.download(uri).read_text() == "newer\n"


def test_loading_leaves_no_files_behind(
    root: str, open_web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    uris = [nb.saves(FRAME, f"{root}/a.parquet"), nb.saves(picture(), f"{root}/a.png")]
    uris.append(open_web.serve("/a.json", Reply(body=b"1")))
    assert all(one.ok for one in nb.concurrent_loads(uris, progress=False))
    assert not list(scratch.iterdir()) and not (tmp_path / "cache").exists()


def test_objects_can_be_looked_up_copied_moved_and_deleted(root: str) -> None:
    storage = nb.default_storage()
    uri = nb.saves(["x"], f"{root}/a.txt")
    assert storage.stat(uri).size == 2 and storage.exists(uri)
    storage.copy(uri, f"{root}/b.txt")
    storage.move(f"{root}/b.txt", f"{root}/c.txt")
    storage.delete(uri)
    assert nb.ls(root, relative=True) == ["c.txt"]


def test_saving_only_where_nothing_is(root: str) -> None:
    uri = nb.saves(["first"], f"{root}/a.txt", create_only=True)
    with pytest.raises(StorageError):
        nb.saves(["second"], uri, create_only=True)
    assert nb.loads(uri) == ["first"]


def test_readers_see_the_old_file_or_the_new_one(root: str) -> None:
    texts = {c * 300_000 for c in "ab"}
    uri = nb.saves("a" * 300_000, f"{root}/a.txt")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [nb.saves(c * 300_000, uri) for c in "ba" * 8])
        while not writing.done():
            assert nb.loads(uri, as_="text") in texts
        writing.result()


def test_another_endpoint_and_other_credentials_count_from_the_next_call(
    swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    uri = nb.saves(["x"], f"s3://{bucket}/a.txt")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(StorageError) as error:
        nb.loads(uri)
    assert error.value.kind == "denied" and "wrong-secret" not in str(error.value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", swift.secret_key)
    assert nb.loads(uri) == ["x"]


def test_a_path_object_may_hold_a_uri(swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    nb.saves(["x"], Path(f"s3://{bucket}") / "a.txt")
    assert nb.ls(f"s3://{bucket}") == [f"s3://{bucket}/a.txt"]


def test_presigned_urls_are_for_s3_only_and_work_without_credentials(
    swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import urllib.request

    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    uris = [nb.saves([str(n)], f"s3://{bucket}/{n}.txt") for n in range(2)]
    for n, url in enumerate(nb.presigns(uris, 60)):
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == f"{n}\n".encode()
    assert isinstance(nb.presigns(uris[0]), str)
    with pytest.raises(StorageError, match="presigned"):
        nb.presigns(str(tmp_path / "a.txt"))


def test_peek_fetches_only_the_beginning(root: str) -> None:
    lines = nb.saves([{"n": n, "text": "x" * 100} for n in range(20_000)], f"{root}/long.jsonl")
    seen = nb.peek(lines, 2)
    assert seen.kind == "list" and [row["n"] for row in seen.head] == [0, 1]
    assert 19_000 < int(seen.facts["length"].split()[-1].replace(",", "")) < 21_000
    table = nb.peek(nb.saves(FRAME, f"{root}/a.parquet"), 1)
    assert table.facts["rows"] == 2 and list(table.facts["columns"]) == ["n", "word", "share"] and len(table.head) == 1
    assert "2 rows" in table._repr_html_() and "rows 2" in repr(table)
    image = nb.peek(nb.saves(picture(), f"{root}/a.jpg"))
    assert image.facts["size"] == "60 x 40 pixels" and image.facts["format"] == "JPEG"
    assert nb.peek({"a": 1, "b": 2}, 1).head == {"a": 1}


def test_to_df_takes_apart_what_is_nested() -> None:
    frame = nb.to_df({"x": {"a": 1, "n": {"m": 1}}, "y": {"a": 2}}, as_="arrow")
    assert frame.to_pylist() == [
        {"DICT_KEY": "x", "a": 1, "n__m": 1},
        {"DICT_KEY": "y", "a": 2, "n__m": None},
    ]
    frame = nb.to_df([{"a": {"b": {"c": {"d": 1}}}, "l": [1]}, {"a": None}], as_="arrow")
    assert frame.to_pylist() == [{"a__b__c": {"d": 1}, "l": [1]}, {"a__b__c": None, "l": None}]
    assert nb.to_df([1, 2])["VALUE"].tolist() == [1, 2]
    assert nb.to_df({"x": [1, 2]}, as_="arrow").to_pylist() == [{"DICT_KEY": "x", "VALUE": [1, 2]}]
    assert nb.to_df(FRAME).equals(FRAME)


def test_storage_can_be_given(tmp_path: Path) -> None:
    storage = Storage()
    uri = nb.saves([1], tmp_path / "a.json", storage=storage)
    assert nb.loads(uri, storage=storage) == [1] and nb.ls(tmp_path, "json", storage=storage) == [uri]


def test_table_that_is_not_utf_8_is_an_error_and_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes("name,n\nä,1\n".encode("latin-1"))
    with pytest.raises(StorageError, match="column 'name' is not in UTF-8"):
        nb.loads(tmp_path / "l.csv")


def test_one_uri_is_not_taken_for_many() -> None:
    with pytest.raises(TypeError, match="expected several URIs"):
        nb.concurrent_loads("one/path.jpg")
