"""A list of URLs is a source like a folder: what can be had arrives, what cannot is a row that says why."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arot_assets.datasets.changes import SCHEMA
from arot_assets.datasets.inventory import InventoryError, read_inventory
from arot_assets.datasets.reach import spread
from arot_assets.datasets.steps import samples_state
from arot_assets.declarations import ImageDataset, load_declarations
from arot_assets.reasons import meant
from arot_assets.status import failures_by_reason
from arot_assets.steps import Look
from resources.storage import StorageError
from resources.storage.http.settings import HttpSettings
from resources.tables import TableRef
from sensors.source import describe_change
from tests.conftest import EXAMPLES, Dataset
from tests.servers.faults import FaultProxy, Faults
from tests.servers.http import Reply, WebServer, redirect

MakeDataset = Callable[..., Dataset]
PHOTOS = sorted(EXAMPLES.glob("photo/*/*.jpg"))
ALLOWED = {"allow_private": True, "attempts": 2, "read_seconds": 1.0}
URLS = ["http://one.example/a.jpg", "https://two.example/b.png?size=large"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept in the user's own cache."""
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def lines(path: Path, *texts: str) -> Path:
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def listed(dataset: Dataset) -> dict[str, dict[str, object]]:
    """Present objects, and what the list says of each."""
    rows = dataset.sql("select uri, metadata from d.inventory where state = 'present'")
    return {uri: json.loads(said) if said else {} for uri, said in rows}


def test_text_file_lists_one_url_a_line(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset(
        lines(tmp_path / "l.txt", "\ufeff# images", URLS[0], "", f"  {URLS[1]}  # the second", f"{URLS[0]}#part")
    )
    found = dataset.inventory()
    assert listed(dataset) == {URLS[0]: {}, URLS[1]: {}} and found.new == 2
    assert dataset.sql("select distinct size, mtime, etag, len(sidecars) from d.inventory") == [(None, None, None, 0)]
    assert not dataset.inventory().differs


RECORDS = [
    {"url": URLS[0], "caption": "A cat.", "tags": "cat, on mat", "rating": "5"},
    {"url": URLS[1], "caption": "", "tags": "", "rating": ""},
]
SAID: dict[str, dict[str, object]] = {
    URLS[0]: {"caption": "A cat.", "tags": ["cat", "on mat"], "record": {"rating": "5"}},
    URLS[1]: {},
}


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "CSV"])
def test_tables_bring_captions_tags_and_the_rest(make_dataset: MakeDataset, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"l.{kind}"
    if kind == "jsonl":
        lines(path, *map(json.dumps, RECORDS))
    elif kind == "parquet":
        pictures = pa.array([{"bytes": b"x", "path": "p"}] * 2)
        pq.write_table(pa.Table.from_pylist(RECORDS).append_column("image", pictures), path)
    else:
        mark = "\t" if kind == "tsv" else ","
        rows = [RECORDS[0].keys(), *(r.values() for r in RECORDS)]
        lines(path, *(mark.join(f'"{value}"' for value in row) for row in rows))
    dataset = make_dataset(path)
    dataset.inventory()
    assert listed(dataset) == SAID


def test_values_of_every_type_become_json(make_dataset: MakeDataset, tmp_path: Path) -> None:
    record = {
        "URL": URLS[0], "TEXT": "by LAION's names", "tags": ["a", "b"], "when": datetime(2026, 1, 2, tzinfo=UTC),
        "score": float("nan"), "nested": {"x": [1, 2.5]}, "nul": "a\0b",
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "l.parquet")
    dataset = make_dataset(tmp_path / "l.parquet")
    dataset.inventory()
    (said,) = listed(dataset).values()
    assert (said["caption"], said["tags"]) == ("by LAION's names", ["a", "b"])
    assert said["record"] == {
        "when": "2026-01-02 00:00:00+00:00", "score": None, "nested": {"x": [1, 2.5]}, "nul": "a\ufffdb",
    }  # fmt: skip


def test_columns_are_named_where_they_are_called_otherwise(make_dataset: MakeDataset, tmp_path: Path) -> None:
    path = lines(tmp_path / "l.csv", "thumb,large,title,caption", f"{URLS[0]},{URLS[1]},Old cat,unused")
    dataset = make_dataset(path, urls={"column": "large", "caption_column": "title"})
    dataset.inventory()
    assert listed(dataset) == {URLS[1]: {"caption": "Old cat", "record": {"thumb": URLS[0], "caption": "unused"}}}
    with pytest.raises(
        StorageError, match=r"no column 'url'; it has thumb, large, title, caption; .*urls: {column: …}"
    ):
        make_dataset(path).inventory()
    with pytest.raises(StorageError, match="no column 'alt'"):
        make_dataset(path, urls={"column": "large", "caption_column": "alt"}).inventory()


def test_what_is_no_url_is_counted_and_told(make_dataset: MakeDataset, tmp_path: Path) -> None:
    wrong = ["/etc/passwd", "file:///etc/passwd", "s3://bucket/a", "http://", "http://me:pw@example.org/a.jpg",
             "https://b.s3.amazonaws.com/a.jpg?X-Amz-Signature=0123"]  # fmt: skip
    path = lines(tmp_path / "l.csv", "url,text", *(f"{u},x" for u in [URLS[0], URLS[0], *wrong]), "too,many,columns")
    from arot_assets.datasets.listing import list_source

    dataset = make_dataset(path)
    listing = list_source(dataset.resources.storage, dataset.declaration)
    assert listing.objects["uri"].to_pylist() == [URLS[0]]
    assert listing.ignored == {
        "not an http(s) address": 4, "address with a password or signature": 2, "line that cannot be read": 1,
        "URL that is listed already": 1,
    }  # fmt: skip
    assert len(listing.problems) == 7 and "line 4: not an http(s) address" in listing.problems[0]
    assert "pw" not in "".join(listing.problems) and "0123" not in "".join(listing.problems)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "txt", "parquet"])
def test_file_that_is_no_list_is_one_error(make_dataset: MakeDataset, tmp_path: Path, kind: str) -> None:
    (tmp_path / f"l.{kind}").write_bytes(PHOTOS[0].read_bytes())
    with pytest.raises(StorageError, match=r"as a list|no column"):
        make_dataset(tmp_path / f"l.{kind}").inventory()
    with pytest.raises(StorageError, match="No such file"):
        make_dataset(tmp_path / f"missing.{kind}").inventory()


def test_other_words_in_the_list_change_an_object(make_dataset: MakeDataset, tmp_path: Path) -> None:
    path = lines(tmp_path / "l.csv", "url,caption", f"{URLS[0]},one", f"{URLS[1]},two")
    dataset = make_dataset(path)
    dataset.inventory()
    lines(path, "url,caption", f"{URLS[1]},two", f"{URLS[0]},ONE")
    found = dataset.inventory()
    assert (found.new, found.changed, found.gone, found.unchanged) == (0, 1, 0, 1), "the order says nothing"
    lines(path, "url,caption", f"{URLS[1]},two")
    assert dataset.inventory().gone == 1


def test_inventory_without_the_column_is_still_read(dataset: Dataset) -> None:
    dataset.inventory()
    parts = TableRef("d", "inventory")
    tables = dataset.resources.tables
    tables.write(tables.read(parts).drop_columns("metadata"), parts)
    found = read_inventory(tables, "d")
    assert found is not None and found.schema.names == SCHEMA.names
    assert sum(dataset.samples().values()) == 12
    assert not dataset.inventory().differs


def test_sensor_reads_the_list_only_when_it_is_another(make_dataset: MakeDataset, tmp_path: Path) -> None:
    path = lines(tmp_path / "l.txt", URLS[0])
    dataset = make_dataset(path)
    r = dataset.resources
    assert describe_change(r.storage, r.tables, dataset.declaration) is not None
    dataset.inventory()
    opened: list[str] = []

    class Watching(type(r.storage)):  # type: ignore[misc]
        def open(self, uri: str):  # type: ignore[no-untyped-def]
            opened.append(uri)
            return super().open(uri)

    assert describe_change(Watching(), r.tables, dataset.declaration) is None and not opened
    lines(path, *URLS)
    change = describe_change(Watching(), r.tables, dataset.declaration)
    assert change is not None and change.text == "1 new, 0 changed, 0 gone"


def test_pictures_of_the_web_become_samples_and_metrics(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    uris = [web.serve(f"/{p.parent.name}/{p.name}", Reply(body=p.read_bytes(), etag=p.stem)) for p in PHOTOS[:6]]
    path = lines(tmp_path / "l.csv", "url,text,tags,source", *(f'{u},On {n},"a, b",web' for n, u in enumerate(uris)))
    dataset = make_dataset(path, urls=ALLOWED)
    dataset.run("phash")
    rows = dataset.sql("select status, caption, tags, sidecar->>'source', bytes from d.samples order by caption")
    assert rows == [("ok", f"On {n}", ["a", "b"], "web", p.stat().st_size) for n, p in enumerate(PHOTOS[:6])]
    assert dataset.sql("select count(*) from d.phash where status = 'ok'") == [(6,)]
    assert Counter(r.path for r in web.requests).most_common(1)[0][1] == 1, "each is fetched once for all tables"


def test_list_may_be_on_the_web_itself(make_dataset: MakeDataset, web: WebServer) -> None:
    uri = web.serve("/a", Reply(body=PHOTOS[0].read_bytes()))
    source = web.serve("/l.csv", Reply(body=f"url,text\n{uri},x\n".encode(), etag="v1"))
    dataset = make_dataset(source, urls=ALLOWED)
    dataset.run()
    assert dataset.sql("select status, caption from d.samples") == [("ok", "x")]


def test_bytes_that_the_server_has_no_more_serve_the_metrics(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    uri = web.serve("/a.jpg", Reply(body=PHOTOS[0].read_bytes()))
    dataset = make_dataset(lines(tmp_path / "l.txt", uri), urls=ALLOWED)
    dataset.run()
    web.serve("/a.jpg", Reply(404))
    assert dataset.metrics("phash")["phash"].failures == {}


def test_without_the_cache_they_are_fetched_again(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("AROT_HTTP_ALLOW_PRIVATE", "1")
    uri = web.serve("/a.jpg", Reply(body=PHOTOS[0].read_bytes()))
    dataset = make_dataset(lines(tmp_path / "l.txt", uri), urls=ALLOWED)
    dataset.run("phash")
    assert dataset.sql("select count(*) from d.phash where status = 'ok'") == [(1,)]
    assert web.count("/a.jpg") == 2


FAILING = {
    "not_found": Reply(404),
    "denied": Reply(403, b"<html>log in</html>", content_type="text/html"),
    "too_large": Reply(size=10**10),
    "opt_out": Reply(body=PHOTOS[0].read_bytes(), headers={"X-Robots-Tag": "noai"}),
    "throttled": Reply(429),
    "server_error": Reply(501),
    "redirects": redirect("/redirects.jpg"),
    "private_address": redirect("http://127.0.0.2/x"),
    "timeout": Reply(body=PHOTOS[0].read_bytes(), latency=1.5),
    "truncated": Reply(body=PHOTOS[0].read_bytes(), cut=100),
    "reset": Reply(reset=-1),
}


def kinds(dataset: Dataset) -> dict[str, str]:
    """The name of each failed object -> its kind."""
    rows = dataset.sql("select uri, status, reason from d.samples where status not in ('ok', 'duplicate')")
    assert all(status == "unreadable" for _, status, _ in rows)
    return {uri.rsplit("/", 1)[1].removesuffix(".jpg"): reason.partition(":")[0] for uri, _, reason in rows}


def test_every_failure_is_a_row_with_its_kind_and_retried_by_it(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.storage.http.connections.is_public", lambda address: address == "127.0.0.1")
    uris = [web.serve(f"/{name}.jpg", reply) for name, reply in FAILING.items()]
    uris += [web.serve("/about-timeout.jpg", Reply(410)), web.serve("/ok.jpg", Reply(body=PHOTOS[1].read_bytes()))]
    settings = {"attempts": 1, "read_seconds": 1.0}
    dataset = make_dataset(
        lines(tmp_path / "l.txt", *uris, "http://no-such-host.invalid/dns.jpg"), shard_size=50, urls=settings
    )
    dataset.run()
    assert kinds(dataset) == {name: name for name in FAILING} | {"about-timeout": "not_found", "dns": "dns"}
    web.serve("/timeout.jpg", Reply(body=PHOTOS[0].read_bytes()))
    before = len(web.requests)
    assert sum(dataset.samples(retry="timeout").values()) == 1
    assert [r.path for r in web.requests[before:]] == ["/timeout.jpg"]
    assert "timeout" not in kinds(dataset)
    # reasons that differ by their object only are one line
    with Look(dataset.resources) as look:
        reasons = dict(failures_by_reason(look, "d", "samples"))
    assert sum(reasons.values()) == len(FAILING) + 1 and not any("127.0.0.1:" in reason for reason in reasons)


def test_opt_out_is_ignored_only_if_the_declaration_says_so(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    uri = web.serve("/a.jpg", FAILING["opt_out"])
    free = web.serve("/b.jpg", Reply(body=PHOTOS[1].read_bytes()))
    moved = web.serve("/c.jpg", Reply(302, headers={"Location": "/d.jpg", "X-Robots-Tag": "noimageai"}))
    web.serve("/d.jpg", Reply(body=PHOTOS[2].read_bytes()))
    path = lines(tmp_path / "l.txt", uri, free, moved)
    dataset = make_dataset(path, urls={**ALLOWED, "honour_opt_out": False})
    dataset.run()
    rows = dataset.sql("select status, notes from d.samples order by uri")
    assert rows == [("ok", ["opt_out"]), ("ok", []), ("ok", ["opt_out"])], "and the row says that it was forbidden"
    make_dataset(path, urls=ALLOWED).run()
    assert [s for (s,) in dataset.sql("select status from d.samples order by uri")] == [
        "unreadable",
        "ok",
        "unreadable",
    ]


def test_html_page_in_place_of_a_picture_is_corrupt_and_says_so(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    page = Reply(body=b"<!DOCTYPE html><html><body>Sorry</body></html>", content_type="text/html")
    dataset = make_dataset(lines(tmp_path / "l.txt", web.serve("/a.jpg", page)), urls=ALLOWED)
    dataset.run()
    ((status, reason),) = dataset.sql("select status, reason from d.samples")
    assert status == "corrupt" and "HTML" in reason


def test_three_hundred_urls_through_a_bad_network(make_dataset: MakeDataset, web: WebServer, tmp_path: Path) -> None:
    bodies = {f"/{n:03}.jpg": PHOTOS[n % len(PHOTOS)].read_bytes() + b"\0" * n for n in range(300)}
    gone = {path for n, path in enumerate(bodies) if n % 20 == 7}
    for path, body in bodies.items():
        web.serve(path, Reply(404) if path in gone else Reply(body=body, etag=path[1:4]))
    faults = Faults(refuse=0.05, error=0.05, lost=0.05, reset=0.05, half=0.05, at_most=None)
    with FaultProxy(web.endpoint, faults, seed=3) as proxy:
        path = lines(tmp_path / "l.txt", *(proxy.endpoint + p for p in bodies))
        dataset = make_dataset(path, shard_size=500, urls={"allow_private": True, "attempts": 3, "per_host": 16})
        quick = dataset.resources.storage.with_http(HttpSettings(backoff_seconds=0.01))
        dataset.resources = replace(dataset.resources, storage=quick)
        dataset.run()
        assert min(proxy.injected[k] for k in ("refuse", "error", "lost", "reset", "half")) > 5
    truth = {proxy.endpoint + p: hashlib.sha256(body).hexdigest() for p, body in bodies.items()}
    rows = dataset.sql("select uri, sha256, reason from d.samples")
    assert len(rows) == 300
    for uri, sha256, reason in rows:
        if uri.removeprefix(proxy.endpoint) in gone:
            assert reason.partition(":")[0] in ("not_found", "server_error", "reset")
        elif sha256 is None:
            assert reason.partition(":")[0] in ("server_error", "reset", "truncated")
        else:
            assert sha256 == truth[uri]
    assert sum(sha256 is not None for _, sha256, _ in rows) > 270


def test_hosts_take_turns() -> None:
    uris = [f"http://{host}/{n}" for host in "abc" for n in range(3)]
    order = [str(o["uri"]) for o in spread([{"uri": u} for u in uris])]
    assert sorted(order) == uris
    assert [u[7] for u in order] == list("abcabcabc")
    files = [{"uri": f"/x/{n}.jpg"} for n in range(5)]
    assert list(spread(files)) == files


def test_word_finds_what_is_said_of_an_object_not_its_name() -> None:
    reason = "unreadable not_found: cannot read 'http://h/timeout.jpg': HTTP 404 Not Found; correct the address"
    assert meant("not_found", reason) and not meant("timeout", reason)
    assert meant("h/timeout.jpg", reason) and meant("", reason) and meant("Not Found;", reason)


def test_declaration_is_checked() -> None:
    def declare(source: str, **fields: object) -> ImageDataset:
        return ImageDataset.model_validate({"name": "d", "source": source, **fields})

    assert declare("lists/pets.CSV").is_url_list and declare("s3://b/l.parquet").is_url_list
    assert not declare("pictures").is_url_list and not declare("hf://datasets/o/r/train.parquet").is_url_list
    with pytest.raises(ValueError, match="`urls` requires a source that is a list"):
        declare("pictures", urls={"column": "x"})
    with pytest.raises(ValueError, match="password or signature"):
        declare("https://example.org/l.csv?X-Amz-Signature=abc")
    with pytest.raises(ValueError, match="honor_opt_out"):
        declare("l.csv", urls={"honor_opt_out": False})


def test_signed_addresses_in_other_columns_are_not_kept(make_dataset: MakeDataset, tmp_path: Path) -> None:
    signed = "https://one.example/t.jpg?size=2&X-Amz-Signature=abcdef0123"
    line = {"url": URLS[0], "thumb": signed, "more": {"links": [signed, "https://u:pass@one.example/"]}, "n": 1}
    dataset = make_dataset(lines(tmp_path / "l.jsonl", json.dumps(line)))
    dataset.inventory()
    (record,) = [said["record"] for said in listed(dataset).values()]
    assert record["thumb"] == "https://one.example/t.jpg?size=2&X-Amz-Signature=…" and record["n"] == 1
    assert "abcdef0123" not in json.dumps(record) and "pass" not in json.dumps(record)


def test_what_left_the_list_is_in_no_count_and_is_not_fetched_again(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    path = lines(tmp_path / "l.jsonl", *(json.dumps({"url": f"{web.endpoint}/{n}.jpg", "text": "a"}) for n in range(3)))
    dataset = make_dataset(path, urls=ALLOWED, metrics=["phash"])
    dataset.run("phash")
    lines(path, *(json.dumps({"url": f"{web.endpoint}/{n}.jpg", "text": "b"}) for n in range(2)))
    dataset.run("phash")
    with Look(dataset.resources) as look:
        state = samples_state(look, dataset.declaration)
        assert (state.rows, state.failed) == (2, 2)
        assert failures_by_reason(look, "d", "samples")[0][1] == 2
    web.requests.clear()
    assert sum(dataset.samples(retry="not_found").values()) == 2
    assert len({r.path for r in web.requests}) == 2


def test_folder_of_archives_says_how_they_are_opened(make_dataset: MakeDataset, tmp_path: Path) -> None:
    (tmp_path / "0000.tar").write_bytes(b"x")
    with pytest.raises(InventoryError, match=r"1 x \.tar; set `archives: {}`"):
        make_dataset(tmp_path).inventory()
    assert make_dataset(tmp_path, name="e", archives=None).declaration.opens_archives


def test_error_about_a_secret_does_not_show_it(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text(
        "type: arot_assets.components.ImageDataset\nattributes:\n  name: s\n  source: http://u:hunter2@h/l.csv?token=abc\n"
    )
    (told,) = load_declarations(tmp_path).problems()
    assert "a password or signature" in told and "hunter2" not in told and "token=abc" not in told
