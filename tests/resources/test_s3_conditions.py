"""Writes and reads under a condition: nothing is replaced unseen, no version is taken for another, on any server."""

import http.client
from collections import Counter
from collections.abc import Iterator

import pytest

from resources.storage import ObjectInfo, Storage, StorageError
from resources.storage.s3.backend import S3Backend
from resources.storage.s3.settings import S3Settings
from tests.resources.test_s3_transfer import at_swift, root  # noqa: F401  # at_swift: of this test
from tests.servers.http import Reply, WebServer
from tests.servers.loopback import Exchange, LoopbackServer
from tests.servers.swift import Swift

NOT_IMPLEMENTED = b"<Error><Code>NotImplemented</Code></Error>"


class Unconditional(LoopbackServer):
    """A server that does not know ``If-Match`` and ``If-None-Match``; everything else Swift answers."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.refused: Counter[str] = Counter()

    def handle(self, exchange: Exchange) -> None:
        """Refuse, or pass on: the signature is of the headers as they came."""
        body = exchange.read_body()
        if {"If-Match", "If-None-Match"} & set(exchange.headers):
            self.refused[exchange.command] += 1
            exchange.reply(501, NOT_IMPLEMENTED)
            return
        behind = http.client.HTTPConnection("127.0.0.1", self._port)
        behind.putrequest(exchange.command, exchange.path, skip_host=True, skip_accept_encoding=True)
        for name, value in exchange.headers.items():
            behind.putheader(name, value)
        behind.endheaders(body)
        answer = behind.getresponse()
        exchange.reply(answer.status, answer.read(), dict(answer.getheaders()))
        behind.close()


@pytest.fixture
def old(swift: Swift) -> Iterator[Unconditional]:
    """The server of another make."""
    with Unconditional(int(swift.endpoint.rpartition(":")[2])) as server:
        yield server


def replacing(storage: Storage, uri: str, *versions: bytes) -> None:
    """Let another writer come between each look at an object and its bytes, as long as there are versions."""
    look = storage.stat
    left = list(versions)

    def stat(asked: str) -> ObjectInfo:
        found = look(asked)
        if asked == uri and left:
            Storage().write(uri, left.pop(0))
        return found

    object.__setattr__(storage, "stat", stat)


@pytest.mark.parametrize("size", [10, 11_000_000])
def test_create_only_replaces_nothing_where_the_server_knows_no_conditions(
    root: str, old: Unconditional, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("resources.storage.s3.backend.PART_BYTES", 2 * 1024 * 1024)
    storage = Storage(s3=S3Settings(endpoint=old.endpoint))
    storage.write(f"{root}/once", b"1" * size, create_only=True)
    with pytest.raises(StorageError, match="already exists") as error:
        storage.write(f"{root}/once", b"2" * size, create_only=True)
    assert error.value.kind == "exists" and old.refused.total() == 2, "not asked again and again"
    assert storage.read_bytes(f"{root}/once") == b"1" * size
    uploads = storage.using(S3Backend).requests.call("list_multipart_uploads", root, "list", Bucket=root[5:])
    assert not uploads.get("Uploads"), "no parts stay behind"


def test_reader_never_mixes_two_versions_where_the_server_knows_no_conditions(root: str, old: Unconditional) -> None:
    storage = Storage(s3=S3Settings(endpoint=old.endpoint))
    storage.write(f"{root}/big", b"a" * 700_000)
    assert storage.open(f"{root}/big").read() == b"a" * 700_000
    reader = storage.open(f"{root}/big")
    storage.write(f"{root}/big", b"b" * 700_000)
    with pytest.raises(StorageError) as error:
        reader.read()
    assert error.value.kind == "changed"


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("server", ["swift", "old"])
def test_object_replaced_while_it_is_fetched_is_not_kept_as_the_old_one(
    root: str, old: Unconditional, monkeypatch: pytest.MonkeyPatch, small: bool, server: str
) -> None:
    if not small:
        monkeypatch.setattr("resources.storage.s3.backend.SMALL_BYTES", 1)
    storage = Storage(s3=S3Settings(endpoint=old.endpoint)) if server == "old" else Storage()
    storage.write(f"{root}/a.txt", b"one")
    replacing(storage, f"{root}/a.txt", b"two")
    assert storage.download(f"{root}/a.txt").read_bytes() == b"two"
    storage.write(f"{root}/a.txt", b"one")
    assert storage.download(f"{root}/a.txt").read_bytes() == b"one", "under the etag that it had at first"


def test_object_that_changes_all_the_time_is_an_error(root: str) -> None:
    storage = Storage()
    storage.write(f"{root}/a.txt", b"0")
    replacing(storage, f"{root}/a.txt", *(b"%d" % n for n in range(1, 20)))
    with pytest.raises(StorageError) as error:
        storage.download(f"{root}/a.txt")
    assert error.value.kind == "changed"


def test_web_page_replaced_while_it_is_fetched_is_not_kept_as_the_old_one(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_HTTP_ALLOW_PRIVATE", "1")
    one, two = Reply(body=b"one", etag="v1"), Reply(body=b"two", etag="v2")
    uri = web.serve("/a.txt", one, two)  # the look sees the one, the read the other
    assert Storage().download(uri).read_bytes() == b"two"
    web.serve("/a.txt", one)
    assert Storage().download(uri).read_bytes() == b"one"


@pytest.mark.parametrize("server", ["swift", "old"])
def test_only_the_version_that_was_read_is_replaced(root: str, old: Unconditional, server: str) -> None:
    storage = Storage(s3=S3Settings(endpoint=old.endpoint)) if server == "old" else Storage()
    uri = f"{root}/table"
    storage.write(uri, b"first")
    first = storage.version(uri)
    storage.replace(uri, b"second", first)
    with pytest.raises(StorageError, match="was replaced in the meantime") as error:
        storage.replace(uri, b"third", first)
    assert error.value.kind == "changed" and storage.read_bytes(uri) == b"second"
    storage.delete(uri)
    with pytest.raises(StorageError, match="was replaced in the meantime"):
        storage.replace(uri, b"third", first)
    assert storage.version(uri) == "" and not storage.exists(uri)
