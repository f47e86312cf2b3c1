"""The fault proxy breaks what it is told to, the same way for the same seed, and changes no byte otherwise."""

import concurrent.futures
import http.client
import os
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.servers.faults import KINDS, FaultProxy, Faults
from tests.servers.http import Reply, WebServer
from tests.servers.hub import Hub
from tests.servers.swift import Swift


def outcome(url: str, data: bytes | None = None) -> str:
    """What became of a request, in one word."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
            return f"{answer.status} {len(answer.read())}"
    except urllib.error.HTTPError as error:
        return str(error.code)
    except http.client.IncompleteRead:
        return "incomplete"
    except (ConnectionResetError, http.client.RemoteDisconnected):
        return "reset"
    except urllib.error.URLError as error:
        return type(error.reason).__name__


def one_fault(kind: str) -> Faults:
    """That fault at every request."""
    shares = {k: float(k == kind) for k in KINDS}
    return Faults(**shares, delay_seconds=0.01)  # type: ignore[arg-type]


@pytest.fixture
def page(web: WebServer) -> WebServer:
    """A page of 100,000 bytes at many addresses."""
    for i in range(300):
        web.serve(f"/{i}", Reply(body=os.urandom(100_000), chunked=i % 2 == 0))
    return web


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("refuse", {"reset", "ConnectionResetError"}),
        ("error", {"500", "503"}),
        ("lost", {"500", "503"}),
        ("reset", {"reset", "incomplete", "ConnectionResetError"}),
        ("half", {"incomplete"}),
        ("delay", {"200 100000"}),
    ],
)
def test_each_fault_is_what_the_client_sees(page: WebServer, kind: str, seen: set[str]) -> None:
    with FaultProxy(page.endpoint, one_fault(kind)) as proxy:
        results = {outcome(f"{proxy.endpoint}/{i}") for i in range(12)}
        posted = outcome(f"{proxy.endpoint}/0", os.urandom(300_000))
    assert results <= seen and posted in seen
    assert proxy.injected == {kind: 13}
    forwarded = 0 if kind in ("refuse", "error") else 13
    assert len(page.requests) == forwarded


def test_rates_hold_and_the_same_seed_gives_the_same_faults(page: WebServer) -> None:
    def run(seed: int) -> list[str]:
        faults = Faults(refuse=0.05, error=0.05, lost=0.05, reset=0.05, half=0.05, at_most=None)
        with FaultProxy(page.endpoint, faults, seed) as proxy, concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda i: outcome(f"{proxy.endpoint}/{i}"), range(300)))
            assert 40 <= sum(proxy.injected.values()) <= 110 and set(proxy.injected) == set(KINDS) - {"delay"}
        # how much of a broken answer arrives is a matter of time
        return ["broken" if f in ("reset", "incomplete", "ConnectionResetError") else f for f in found]

    first = run(1)
    assert first == run(1) != run(2)


def test_at_most_so_many_faults_a_request(page: WebServer) -> None:
    with FaultProxy(page.endpoint, Faults(error=1.0, at_most=2)) as proxy:
        assert [outcome(f"{proxy.endpoint}/1") for _ in range(3)][2] == "200 100000"


def test_nothing_listens_while_it_is_down(page: WebServer) -> None:
    with FaultProxy(page.endpoint, Faults()) as proxy:
        assert outcome(f"{proxy.endpoint}/1") == "200 100000"
        with proxy.down():
            assert outcome(f"{proxy.endpoint}/1") == "ConnectionRefusedError"
        assert outcome(f"{proxy.endpoint}/1") == "200 100000"


def test_s3_through_faults_arrives_whole_with_retries(swift: Swift, bucket: str) -> None:
    direct = swift.client()
    contents = {f"k/{i}": os.urandom(20_000) for i in range(40)}
    with FaultProxy(swift.endpoint, Faults(refuse=0.1, error=0.1, lost=0.1, reset=0.1, at_most=2), seed=3) as proxy:
        s3 = swift.client(endpoint=proxy.endpoint, retries={"max_attempts": 6, "mode": "standard"})
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda kv: s3.put_object(Bucket=bucket, Key=kv[0], Body=kv[1]), contents.items()))
    assert sum(proxy.injected.values()) > 3
    assert {k: direct.get_object(Bucket=bucket, Key=k)["Body"].read() for k in contents} == contents


def test_hub_through_the_proxy_stays_behind_it(hub: Hub, tmp_path: Path) -> None:
    data = os.urandom(50_000)
    with hub.as_default(tmp_path), FaultProxy(hub.endpoint, Faults()) as proxy:
        api = HfApi(endpoint=proxy.endpoint, token=hub.token)
        api.create_repo("owner/r", repo_type="dataset")
        api.upload_file(path_or_fileobj=data, path_in_repo="a.jpg", repo_id="owner/r", repo_type="dataset")
        got = api.hf_hub_download("owner/r", "a.jpg", repo_type="dataset")
        assert Path(got).read_bytes() == data
        assert proxy.requests == sum(hub.requests.values())
    assert Counter(r.split()[0] for r in hub.requests)["PUT"] == 1
