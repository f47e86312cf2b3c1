"""Web servers as they are: slow, broken, hostile. What arrives is right, and what cannot be had says why."""

import email.utils
import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.storage import StorageError
from resources.storage.http.backend import HttpBackend
from tests.resources.http_calls import failure_of, kind_of, storage
from tests.servers.http import Reply, WebServer, throttled

BODY = os.urandom(300_000)


def ranges(web: WebServer) -> list[tuple[str | None, str | None]]:
    return [(r.headers.get("Range"), r.headers.get("If-Range")) for r in web.requests]


def test_broken_body_is_resumed_where_it_broke(web: WebServer) -> None:
    cut, reset, whole = (Reply(body=BODY, etag="v1", **fault) for fault in ({"cut": 100_000}, {"reset": 100_000}, {}))  # type: ignore[arg-type]
    assert storage().read_bytes(web.serve("/a", cut, reset, whole)) == BODY
    (_, first, second) = ranges(web)
    assert first == ("bytes=100000-", '"v1"')
    # a reset may destroy what was on its way
    assert second[1] == '"v1"' and 100_000 <= int(str(second[0])[6:-1]) <= 200_000


def test_object_that_changed_amid_is_read_again_from_its_start(web: WebServer) -> None:
    other = os.urandom(250_000)
    uri = web.serve("/a", Reply(body=BODY, etag="v1", cut=100_000), Reply(body=other, etag="v2"))
    assert storage().read_bytes(uri) == other


def test_server_that_ignores_if_range_cannot_mix_two_versions(web: WebServer) -> None:
    other = os.urandom(len(BODY))
    span = f"bytes 100000-{len(BODY) - 1}/{len(BODY)}"
    lying = Reply(206, other[100_000:], headers={"ETag": '"v2"', "Content-Range": span})
    uri = web.serve("/a", Reply(body=BODY, etag="v1", cut=100_000), lying, Reply(body=other, etag="v2"))
    assert storage().read_bytes(uri) == other


def test_server_that_gives_smaller_parts_is_asked_for_the_rest(web: WebServer) -> None:
    part = Reply(206, BODY[:1000], headers={"ETag": '"v1"', "Content-Range": f"bytes 0-999/{len(BODY)}"})
    assert storage().read_bytes(web.serve("/a", part, Reply(body=BODY, etag="v1"))) == BODY
    assert ranges(web)[1] == ("bytes=1000-", '"v1"')


@pytest.mark.parametrize("weak", [{}, {"headers": {"ETag": 'W/"v1"'}}])
def test_without_a_strong_validator_nothing_is_pieced_together(web: WebServer, weak: dict[str, object]) -> None:
    cut, whole = Reply(body=BODY, cut=100_000, **weak), Reply(body=BODY, **weak)  # type: ignore[arg-type]
    assert storage().read_bytes(web.serve("/a", cut, whole)) == BODY
    assert ranges(web) == [(None, None), (None, None)]


def test_date_of_change_is_a_validator_if_it_is_old_enough(web: WebServer) -> None:
    old = {"Last-Modified": "Mon, 06 Jan 2020 10:00:00 GMT"}
    cut, whole = Reply(body=BODY, headers=old, cut=100_000, ranges=False), Reply(body=BODY, headers=old, ranges=False)
    assert storage().read_bytes(web.serve("/a", cut, whole)) == BODY
    assert ranges(web)[1] == ("bytes=100000-", old["Last-Modified"])


def test_server_without_ranges_is_asked_for_all_again(web: WebServer) -> None:
    cut, whole = (Reply(body=BODY, etag="v1", ranges=False, cut=n) for n in (100_000, None))
    assert storage().read_bytes(web.serve("/a", cut, whole)) == BODY


def test_body_in_chunks_without_a_length(web: WebServer) -> None:
    cut, whole = (Reply(body=BODY, etag="v1", chunked=True, cut=n) for n in (70_000, None))
    assert storage().read_bytes(web.serve("/a", cut, whole)) == BODY
    assert kind_of(web.serve("/b", Reply(body=BODY, chunked=True, cut=70_000))) == "truncated"


def test_wrong_length_is_no_object(web: WebServer) -> None:
    assert kind_of(web.serve("/long", Reply(body=BODY, etag="v1", length=len(BODY) + 5))) == "truncated"


def test_body_longer_than_its_length_does_not_leak_into_the_next_answer(web: WebServer) -> None:
    some = storage()
    short = web.serve("/short", Reply(body=BODY, length=1000))
    whole = web.serve("/whole", Reply(body=BODY))
    for _ in range(5):
        assert some.read_bytes(short) == BODY[:1000]
        assert some.read_bytes(whole) == BODY


def test_compressed_although_not_asked_for(web: WebServer) -> None:
    import gzip

    packed = gzip.compress(BODY)
    headers = {"Content-Encoding": "gzip"}
    assert storage().read_bytes(web.serve("/a", Reply(body=packed, headers=headers))) == BODY
    assert kind_of(web.serve("/b", Reply(body=packed[:-9], headers=headers))) == "truncated"
    bomb = gzip.compress(bytes(50_000_000))
    assert kind_of(web.serve("/c", Reply(body=bomb, headers=headers)), max_bytes=1_000_000) == "too_large"


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        (404, "not_found", 1),
        (410, "not_found", 1),
        (401, "denied", 1),
        (403, "denied", 1),
        (400, "rejected", 1),
        (429, "throttled", 3),
        (500, "server_error", 3),
        (501, "server_error", 1),
        (503, "server_error", 3),
        (408, "timeout", 3),
    ],
)
def test_status_is_told_as_a_kind_and_tried_again_only_if_it_may_help(
    web: WebServer, status: int, kind: str, tries: int
) -> None:
    assert kind_of(web.serve("/a", Reply(status))) == kind
    assert web.count("/a") == tries


def in_a_moment() -> str:
    return email.utils.formatdate(time.time() + 1.5, usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_minded(web: WebServer, status: int) -> None:
    assert storage().read_bytes(web.serve("/a", throttled(0.4, status), Reply(body=BODY))) == BODY
    first, second = (r.at for r in web.requests)
    assert second - first >= 0.4
    uri = web.serve("/b", Reply(status, headers={"Retry-After": in_a_moment()}), Reply(body=BODY))
    assert storage().read_bytes(uri) == BODY
    first, second = (r.at for r in web.requests if r.path == "/b")
    assert second - first >= 0.3, "the date has whole seconds"


def test_retry_after_holds_for_every_thread_that_asks_the_host(web: WebServer) -> None:
    some = storage(per_host=1)
    uris = [web.serve("/first", throttled(0.4), Reply(body=b"1")), web.serve("/second", Reply(body=b"2"))]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(some.read_bytes, uris[0])
        while not web.requests:
            time.sleep(0.01)
        second = pool.submit(some.read_bytes, uris[1])
        assert (first.result(), second.result()) == (b"1", b"2")
    start = web.requests[0].at
    assert all(r.at - start >= 0.4 for r in web.requests[1:])


def test_server_that_asks_to_wait_too_long_is_given_up(web: WebServer) -> None:
    some = storage()
    for uri in (web.serve("/a", throttled(3600), Reply(body=BODY)), web.serve("/b", Reply(body=BODY))):
        with pytest.raises(StorageError) as error:
            some.read_bytes(uri)
        assert error.value.kind == "throttled"
    assert (web.count("/a"), web.count("/b")) == (1, 0), "the host said that it wants no request"


def test_resets_are_tried_again_and_then_told(web: WebServer) -> None:
    assert storage().read_bytes(web.serve("/a", Reply(reset=-1), Reply(reset=-1), Reply(body=BODY))) == BODY
    assert kind_of(web.serve("/b", Reply(reset=-1))) == "reset"
    assert web.count("/b") == 3


def test_progress_earns_more_tries(web: WebServer) -> None:
    cuts = [Reply(body=BODY, etag="v1", cut=70_000) for _ in range(4)]
    assert storage(attempts=2).read_bytes(web.serve("/a", *cuts, Reply(body=BODY, etag="v1"))) == BODY


def test_silence_drips_and_endless_bodies_are_timeouts(web: WebServer) -> None:
    for cause, settings, reply in (
        ("the server stopped responding", {"read_seconds": 0.2}, Reply(body=BODY, latency=0.6)),
        ("bytes arrived in", {"read_seconds": 0.2}, Reply(body=BODY, drip=(1, 0.02))),
        ("bytes arrived in", {"read_seconds": 0.2}, Reply(body=BODY, drip=(1, 0.02), chunked=True)),
        ("not finished after 0.4 s in total", {"total_seconds": 0.4}, Reply(size=10**8, drip=(2000, 0.02))),
    ):
        failure = failure_of(web.serve("/a", reply), attempts=1, **settings)
        assert failure.kind == "timeout" and cause in str(failure)


@contextmanager
def raw_server(*pieces: bytes, pause: float) -> Iterator[str]:
    """A server that sends these pieces to whoever connects, the last one for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                try:
                    for piece in pieces:
                        client.sendall(piece)
                    while not over.wait(pause):
                        client.sendall(pieces[-1])
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_headers_that_drip_are_a_timeout_too() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a", pause=0.02) as uri:
        failure = failure_of(uri, read_seconds=0.2, attempts=1)
        assert failure.kind == "timeout" and "bytes arrived in" in str(failure)


def test_gibberish_is_no_answer() -> None:
    with raw_server(b"\x00\x01\x02 no HTTP at all\r\n\r\n", pause=5) as uri:
        assert kind_of(uri, attempts=1) == "reset"


def test_size_limit_holds_by_header_and_while_reading(web: WebServer) -> None:
    assert kind_of(web.serve("/a", Reply(size=10**12)), max_bytes=100_000) == "too_large"
    assert kind_of(web.serve("/b", Reply(size=10**9, chunked=True)), max_bytes=100_000) == "too_large"
    assert storage(max_bytes=len(BODY)).read_bytes(web.serve("/c", Reply(body=BODY))) == BODY
    assert storage(max_bytes=10).read_bytes(web.serve("/d", Reply(size=10**12)), 5, 10) == bytes(5)


def test_host_is_asked_by_so_many_at_once_and_no_more(web: WebServer) -> None:
    some = storage(per_host=3)
    uris = [web.serve(f"/{n}", Reply(body=BODY, latency=0.02)) for n in range(40)]
    with ThreadPoolExecutor(20) as pool:
        assert all(data == BODY for data in pool.map(some.read_bytes, uris))
    assert 2 <= web.most_at_once() <= 3


def test_connections_are_used_again(web: WebServer) -> None:
    some = storage()
    uri = web.serve("/a", Reply(body=BODY))
    gone = f"{web.endpoint}/gone"
    for _ in range(10):
        some.read_bytes(uri)
        some.stat(uri)
        assert not some.exists(gone)
    assert web._server is not None and len(web._server.connections) == 1


def test_stat_exists_and_listing_of_one_object(web: WebServer) -> None:
    modified = {"Last-Modified": "Mon, 06 Jan 2020 10:00:00 GMT"}
    uri = web.serve("/a b/ü.jpg", Reply(body=BODY, etag="v1", headers=modified))
    found = storage().stat(uri)
    assert found == (uri, len(BODY), 1578304800.0, "v1")
    assert list(storage().ls(uri)) == [found]
    assert web.count("/a b/ü.jpg", "GET") == 0, "looking needs no bytes"
    assert storage().exists(uri) and not storage().exists(uri + "x")
    with pytest.raises(StorageError, match="use a list of URLs"):
        list(storage().ls(f"{web.endpoint}/folder/"))


@pytest.mark.parametrize("status", [405, 403, 501])
def test_stat_where_the_server_minds_head(web: WebServer, status: int) -> None:
    uri = web.serve("/a", Reply(status), Reply(body=BODY, etag="v1"))
    assert storage().stat(uri)[1:] == (len(BODY), 0.0, "v1")


def test_parts_of_an_object(web: WebServer) -> None:
    for path, ranged in (("/a", True), ("/b", False)):
        uri = web.serve(path, Reply(body=BODY, etag="v1", ranges=ranged))
        assert storage().read_bytes(uri, 1000, 2000) == BODY[1000:2000]
        assert storage().read_bytes(uri, len(BODY) - 5) == BODY[-5:]
        assert storage().read_bytes(uri, len(BODY) + 5) == b""
        assert storage().read_bytes(uri, 10, 10) == b""
    assert storage().read_bytes(web.serve("/empty", Reply(body=b""))) == b""


def test_open_gives_a_file_that_fetches_what_is_read(web: WebServer) -> None:
    table = pa.table({"a": range(300_000), "b": [str(n) for n in range(300_000)]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=10_000, compression="none", use_dictionary=False)
    size = len(buffer.getvalue())
    uri = web.serve("/t.parquet", Reply(body=buffer.getvalue(), etag="v1"))
    with storage().open(uri) as file:
        assert pq.ParquetFile(file).metadata.num_rows == 300_000
    assert all(r.headers.get("Range") for r in web.requests) and len(web.requests) < 6 and size > 3_000_000
    with storage().open(uri) as file:
        assert pq.read_table(file).equals(table)
    with storage().open(web.serve("/plain", Reply(body=BODY, ranges=False))) as file:
        file.seek(-4, io.SEEK_END)
        assert file.read() == BODY[-4:]


def test_object_that_changes_while_it_is_open_is_an_error(web: WebServer) -> None:
    uri = web.serve("/a", Reply(body=BODY * 10, etag="v1"), Reply(body=BODY * 10, etag="v2"))
    with storage().open(uri) as file, pytest.raises(StorageError, match="it changed while it was being read"):
        file.read()


def test_unchanged_object_is_not_sent_again(web: WebServer) -> None:
    backend = HttpBackend(storage().http)
    uri = web.serve("/a", Reply(body=BODY, etag="v1"))
    found = backend.read_unless(uri, None)
    assert found is not None and found[1] == BODY and found[0].etag == "v1"
    assert backend.read_unless(uri, found[0].etag) is None
    web.serve("/a", Reply(body=b"other", etag="v2"))
    again = backend.read_unless(uri, found[0].etag)
    assert again is not None and again[1] == b"other"


def test_many_threads_and_faults_bring_every_byte(web: WebServer) -> None:
    from tests.servers.faults import FaultProxy, Faults

    bodies = {f"/{n}": os.urandom(1 + n * 997 % 90_000) for n in range(300)}
    for path, body in bodies.items():
        web.serve(path, Reply(body=body, etag=path[1:]))
    some = storage(attempts=8, per_host=16)
    faults = Faults(refuse=0.1, error=0.1, lost=0.05, reset=0.1, half=0.1, at_most=6)
    with FaultProxy(web.endpoint, faults, seed=7) as proxy, ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda path: some.read_bytes(proxy.endpoint + path), bodies))
        assert found == list(bodies.values())
        assert min(proxy.injected[k] for k in ("refuse", "error", "lost", "reset", "half")) > 5
