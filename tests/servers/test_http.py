"""The web server of the tests misbehaves as its script says, seen by plain clients."""

import concurrent.futures
import http.client
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.servers.http import Reply, WebServer, redirect, throttled


def get(url: str, timeout: float = 10, **headers: str) -> tuple[int, bytes, Any]:
    """Status, body and headers of a GET; an error status is an answer too."""
    request = urllib.request.Request(url, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def test_throttled_twice_then_well(web: WebServer) -> None:
    url = web.serve("/a", throttled(1.5), throttled(2, 503), Reply(body=b"ok"))
    assert [get(url)[0] for _ in range(4)] == [429, 503, 200, 200]
    assert web.count("/a") == 4
    web.serve("/a", throttled(1.5))
    assert get(url)[2]["Retry-After"] == "1.5"


@pytest.mark.parametrize("status", [403, 404, 410, 500])
def test_error_status(web: WebServer, status: int) -> None:
    assert get(web.serve("/e", Reply(status)))[0] == status
    assert get(f"{web.endpoint}/unknown")[0] == 404


def test_ranges_and_conditions(web: WebServer) -> None:
    url = web.serve("/r", Reply(body=b"0123456789", etag="v1"))
    assert get(url, Range="bytes=2-4")[:2] == (206, b"234")
    assert get(url, Range="bytes=-3")[:2] == (206, b"789")
    assert get(url, Range="bytes=10-")[0] == 416
    assert get(url, Range="bytes=2-", If_Range='"v1"')[:2] == (206, b"23456789")
    assert get(url, Range="bytes=2-", If_Range='"v0"')[:2] == (200, b"0123456789")
    assert get(url, If_None_Match='"v1"')[0] == 304
    plain = web.serve("/p", Reply(body=b"0123456789", ranges=False))
    assert get(plain, Range="bytes=2-4")[:2] == (200, b"0123456789")


def test_redirects_lead_elsewhere_or_nowhere(web: WebServer) -> None:
    web.serve("/end", Reply(body=b"end"))
    assert get(web.serve("/to", redirect("/end", 308)))[1] == b"end"
    private = web.serve("/private", redirect("http://10.255.255.1/x"))
    host, path = private.removeprefix("http://").split("/", 1)
    connection = http.client.HTTPConnection(host)
    connection.request("GET", f"/{path}")
    assert connection.getresponse().headers["Location"] == "http://10.255.255.1/x"
    connection.close()
    assert get(web.serve("/loop", redirect("/loop")))[0] == 302


@pytest.mark.parametrize("reply", [Reply(body=b"x" * 1000, cut=400), Reply(body=b"x" * 400, length=1000)])
def test_truncated_body_is_shorter_than_claimed(web: WebServer, reply: Reply) -> None:
    with pytest.raises(http.client.IncompleteRead) as error:
        get(web.serve("/t", reply))
    assert len(error.value.partial) == 400


def test_chunks_whole_and_truncated(web: WebServer) -> None:
    assert get(web.serve("/c", Reply(body=b"x" * 200_000, chunked=True)))[1] == b"x" * 200_000
    with pytest.raises(http.client.IncompleteRead):
        get(web.serve("/c", Reply(body=b"x" * 200_000, chunked=True, cut=100_000)))


def test_connection_is_reset_before_and_amid_the_answer(web: WebServer) -> None:
    with pytest.raises(ConnectionResetError):
        get(web.serve("/r", Reply(reset=-1)))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        get(web.serve("/r", Reply(size=50_000_000, reset=20_000_000)))


def test_slow_drip_and_latency(web: WebServer) -> None:
    start = time.monotonic()
    assert get(web.serve("/d", Reply(body=b"abcdef", drip=(2, 0.1), latency=0.2)))[1] == b"abcdef"
    assert time.monotonic() - start >= 0.4
    with pytest.raises(TimeoutError):
        get(web.serve("/l", Reply(body=b"a", latency=1)), timeout=0.2)


def test_huge_body_costs_no_memory_to_announce(web: WebServer) -> None:
    url = web.serve("/h", Reply(size=10**12))
    with urllib.request.urlopen(url) as answer:
        assert int(answer.headers["Content-Length"]) == 10**12
        assert answer.read(10) == bytes(10)


def test_headers_are_as_told(web: WebServer) -> None:
    out = Reply(body=b"<html>", content_type="image/jpeg", headers={"X-Robots-Tag": "noai, noimageai"})
    headers = get(web.serve("/o", out))[2]
    assert (headers["X-Robots-Tag"], headers["Content-Type"]) == ("noai, noimageai", "image/jpeg")
    assert "Content-Type" not in get(web.serve("/n", Reply(body=b"x", content_type=None)))[2]


def test_concurrency_is_measured_by_host(web: WebServer) -> None:
    url = web.serve("/w", Reply(body=b"x", latency=0.3))
    other = url.replace("127.0.0.1", "localhost")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(r[0] == 200 for r in pool.map(get, [url] * 5 + [other] * 3))
    assert web.most_at_once(f"127.0.0.1:{web.port}") == web.most_at_once() == 5
    assert web.most_at_once(f"localhost:{web.port}") == 3


def test_a_stopped_server_ends_its_connections() -> None:
    with WebServer() as web:
        web.serve("/a", Reply(body=b"x"))
        kept = http.client.HTTPConnection("127.0.0.1", web.port)
        kept.request("GET", "/a")
        kept.getresponse().read()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        kept.request("GET", "/a")
        kept.getresponse()
    kept.close()
