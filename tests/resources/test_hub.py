"""Files of the Hugging Face Hub behind ``Storage``: the same semantics as local files, at a revision that is not lost."""

import hashlib
import logging
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.storage import Storage, StorageError
from resources.storage.hub import client as hub_client
from resources.storage.hub import commits
from resources.storage.hub.address import HubAddress, parse
from resources.storage.hub.backend import HubBackend
from resources.storage.hub.settings import HubSettings
from tests.servers.faults import FaultProxy, Faults
from tests.servers.hub import Hub
from tests.servers.hub_repositories import Repository

REPO = "hf://datasets/owner/pictures"
FILES = {
    "a.JPG": b"\xff\xd8" + b"a" * 5000,
    "data/x.jpg": b"\xff\xd8x",
    "data/sub/ü b+c%20#&.txt": b"text",
    "data2/z.jpg": b"\xff\xd8z",
    "data-1/q": b"q",
    "lone": b"",
}


@pytest.fixture(autouse=True)
def owner(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client of this process uses the test Hub with its owner's token; repeated requests do not wait."""
    monkeypatch.setattr(hub_client, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    with hub.as_default(tmp_path / "home", hub.token):
        yield


@pytest.fixture
def pictures(hub: Hub) -> Repository:
    """A dataset with ``FILES``."""
    repository = hub.create("owner/pictures")
    hub.commit(repository, FILES)
    return repository


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}[A-Za-z0-9_]", fullmatch=True)
revisions = st.none() | st.from_regex(r"[a-z0-9][a-z0-9/._-]{0,12}[a-z0-9]", fullmatch=True)
paths = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1), max_size=3
)


@given(st.sampled_from(["dataset", "model", "space"]), names, names, revisions, paths)
def test_an_address_survives_writing_and_reading(
    kind: str, owner: str, name: str, revision: str | None, parts: list[str]
) -> None:
    parts = [p for p in parts if p != ".."]
    address = HubAddress(kind, f"{owner}/{name}", revision, "/".join(parts))
    assert parse(address.uri) == address


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("hf://o/r", HubAddress("dataset", "o/r")),
        ("hf://models/o/r@v1.0/a/b.bin", HubAddress("model", "o/r", "v1.0", "a/b.bin")),
        ("hf://datasets/o/r@refs/pr/3/a", HubAddress("dataset", "o/r", "refs/pr/3", "a")),
        ("hf://datasets/o/r@refs%2Fconvert%2Fparquet", HubAddress("dataset", "o/r", "refs/convert/parquet")),
        ("hf://o/r@feature%2Fx/a@b", HubAddress("dataset", "o/r", "feature/x", "a@b")),
        ("HF://o/r/", HubAddress("dataset", "o/r")),
    ],
)
def test_addresses_as_people_write_them(uri: str, meant: HubAddress) -> None:
    assert parse(uri) == meant


@pytest.mark.parametrize(
    "uri", ["hf://", "hf://squad", "hf://datasets/o", "hf://o/r@", "hf://o/r@/x", "hf://o/r/../../x", "hf://o/r/a\nb"]
)
def test_what_names_no_repository_or_leaves_it_is_refused(uri: str) -> None:
    with pytest.raises(StorageError, match=r"repository|'\.\.'"):
        parse(uri)


@pytest.mark.parametrize("root", [REPO, "hf://owner/pictures", f"{REPO}@main"])
def test_listing_is_recursive_and_keeps_the_root_as_it_was_written(pictures: Repository, root: str) -> None:
    storage = Storage()
    assert {i.uri for i in storage.ls(root)} == {f"{root}/{n}" for n in (*FILES, ".gitattributes")}
    assert {i.uri for i in storage.ls(f"{root}/data/")} == {f"{root}/{n}" for n in FILES if n.startswith("data/")}
    assert [i.uri for i in storage.ls(f"{root}/a.JPG")] == [f"{root}/a.JPG"]
    assert {i.uri for i in storage.ls(root, {".jpg"})} == {
        f"{root}/{n}" for n in ("a.JPG", "data/x.jpg", "data2/z.jpg")
    }


def test_listing_tells_size_and_content_hash_without_a_request_each(hub: Hub, pictures: Repository) -> None:
    hub.requests.clear()
    found = {i.uri.removeprefix(f"{REPO}/"): i for i in Storage().ls(REPO)}
    assert sum(hub.requests.values()) <= 3
    assert {n: found[n].size for n in FILES} == {n: len(d) for n, d in FILES.items()}
    assert found["data/x.jpg"].etag == hashlib.sha256(FILES["data/x.jpg"]).hexdigest()
    text = FILES["data/sub/ü b+c%20#&.txt"]
    assert found["data/sub/ü b+c%20#&.txt"].etag == hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()
    assert Storage().stat(f"{REPO}/a.JPG") == found["a.JPG"]


def test_thousands_of_files_come_page_by_page(hub: Hub, pictures: Repository) -> None:
    hub.page = 7
    assert len(list(Storage().ls(REPO))) == len(FILES) + 1
    hub.commit(pictures, {f"many/{n:03}.txt": b"%d" % n for n in range(50)})
    assert len(list(Storage().ls(f"{REPO}/many"))) == 50


def test_bytes_ranges_and_readers(hub: Hub, pictures: Repository, tmp_path: Path) -> None:
    storage = Storage()
    for name, data in FILES.items():
        assert storage.read_bytes(f"{REPO}/{name}") == data
        assert storage.exists(f"{REPO}/{name}")
    assert storage.read_bytes(f"{REPO}/a.JPG", 3, 9) == FILES["a.JPG"][3:9]
    assert storage.read_bytes(f"{REPO}/lone", 0, 5) == b""
    table = pa.table({"n": range(300_000), "t": [os.urandom(8).hex() for _ in range(300_000)]})
    pq.write_table(table, tmp_path / "t.parquet")
    hub.commit(pictures, {"t.parquet": (tmp_path / "t.parquet").read_bytes()})
    with storage.open(f"{REPO}/t.parquet") as file:
        assert pq.read_table(file, columns=["n"])["n"].to_pylist() == list(range(300_000))
    assert sorted(storage.names(f"{REPO}/data")) == ["sub", "x.jpg"]
    assert storage.names(f"{REPO}/nothing") == []


def test_revision_is_kept_and_a_branch_may_move_on(hub: Hub, pictures: Repository) -> None:
    storage = Storage()
    old = pictures.branches["main"]
    with storage.open(f"{REPO}/a.JPG") as reader:
        hub.commit(pictures, {"a.JPG": b"\xff\xd8" + b"b" * 9000, "data/x.jpg": None})
        assert reader.read() == FILES["a.JPG"]
    assert len(storage.read_bytes(f"{REPO}/a.JPG")) == 9002
    assert storage.read_bytes(f"{REPO}@{old}/a.JPG") == FILES["a.JPG"]
    assert f"{REPO}@{old}/data/x.jpg" in {i.uri for i in storage.ls(f"{REPO}@{old}/data")}
    assert not storage.exists(f"{REPO}/data/x.jpg")
    pictures.branches["feature/x"] = old
    assert storage.read_bytes(f"{REPO}@feature%2Fx/a.JPG") == FILES["a.JPG"]


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (f"{REPO}/no.jpg", ["no such file", "spelling"]),
        (f"{REPO}@nope/a.JPG", ["no revision 'nope'"]),
        ("hf://datasets/owner/nope/a.jpg", ["no dataset 'owner/nope'", "hf://models/owner/nope"]),
        ("hf://models/owner/pictures/a.jpg", ["no model 'owner/pictures'"]),
    ],
)
def test_what_is_not_there_is_told_with_its_remedy(pictures: Repository, uri: str, words: list[str]) -> None:
    storage = Storage()
    for call in (storage.read_bytes, storage.stat, storage.open, lambda u: list(storage.ls(u))):
        with pytest.raises(StorageError) as caught:
            call(uri)
        assert caught.value.kind == "not_found"
        assert all(w in str(caught.value) for w in words), str(caught.value)
    assert not storage.exists(uri)


def test_tokens_missing_wrong_and_of_others(hub: Hub, pictures: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.create("owner/secret", private=True)
    hub.create("owner/gated", gated=True)
    storage = Storage()
    with monkeypatch.context() as token:  # undone before the variables of the whole test are
        token.setenv("HF_TOKEN", hub.other_token)
        with pytest.raises(StorageError, match="this token has no access to it"):
            list(storage.ls("hf://datasets/owner/secret"))
        with pytest.raises(StorageError, match="accept its terms"):
            storage.read_bytes("hf://datasets/owner/gated/.gitattributes")
        with pytest.raises(StorageError, match="no permission"):
            storage.write(f"{REPO}/new.txt", b"1")
        token.setenv("HF_TOKEN", "hf_wrongwrongwrong")
        with pytest.raises(StorageError, match="does not recognize this token") as wrong:
            storage.read_bytes(f"{REPO}/a.JPG")
        token.delenv("HF_TOKEN")
        assert storage.read_bytes(f"{REPO}/a.JPG") == FILES["a.JPG"]  # public
        with pytest.raises(StorageError, match="HF_TOKEN") as none:
            storage.write(f"{REPO}/new.txt", b"1")
        for error in (wrong, none):
            assert error.value.kind == "denied" and "hf_" not in str(error.value)


def test_where_nobody_listens_is_told_after_a_few_tries() -> None:
    with pytest.raises(StorageError, match=r"cannot be reached; check the network, and HF_ENDPOINT") as caught:
        list(Storage(hub=HubSettings(endpoint="http://127.0.0.1:9")).ls(REPO))
    assert caught.value.kind == "refused"


def test_writing_is_one_commit_and_create_only_holds(hub: Hub, pictures: Repository) -> None:
    storage = Storage()
    before = len(pictures.commits)
    storage.write(f"{REPO}/new/a.txt", b"1")
    assert storage.read_bytes(f"{REPO}/new/a.txt") == b"1" and len(pictures.commits) == before + 1
    storage.write(f"{REPO}/new/a.txt", b"1")
    assert len(pictures.commits) == before + 1, "the same content makes no commit"
    with pytest.raises(StorageError, match="already exists"):
        storage.write(f"{REPO}/new/a.txt", b"2", create_only=True)
    storage.delete(f"{REPO}/new/a.txt")
    storage.delete(f"{REPO}/new/a.txt")
    assert not storage.exists(f"{REPO}/new/a.txt") and len(pictures.commits) == before + 2
    with pytest.raises(StorageError, match="never changes"):
        storage.write(f"{REPO}@{pictures.branches['main']}/x.txt", b"1")
    with pytest.raises(StorageError, match="is a repository"):
        storage.write(REPO, b"1")


@pytest.mark.parametrize("times", [1, 12])
def test_somebody_else_commits_meanwhile(
    hub: Hub, pictures: Repository, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(commits, "LONGEST_MOVED_SECONDS", 0.1)
    calls: list[str] = []

    def changes(head: str):  # type: ignore[no-untyped-def]
        if len(calls) < times:
            hub.commit(pictures, {"other.txt": b"theirs"})
        calls.append(head)
        return {"mine.txt": b"mine"}, ()

    commits.commit(Storage().using(HubBackend).client, parse(REPO), "mine", changes)
    assert len(calls) == len(set(calls)) == times + 1
    assert {Storage().read_bytes(f"{REPO}/{n}") for n in ("other.txt", "mine.txt")} == {b"theirs", b"mine"}


def test_a_branch_that_never_rests_is_given_up_at_the_deadline(
    hub: Hub, pictures: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.5)

    def changes(head: str):  # type: ignore[no-untyped-def]
        hub.commit(pictures, {"other.txt": head.encode()})
        return {"mine.txt": b"mine"}, ()

    with pytest.raises(StorageError, match="others kept committing to it"):
        commits.commit(Storage().using(HubBackend).client, parse(REPO), "mine", changes)


def test_clients_of_one_process_commit_to_a_branch_one_after_the_other(pictures: Repository) -> None:
    def write(n: int) -> None:
        Storage().write(f"{REPO}{'@main' if n % 2 else ''}/turns/{n}.txt", str(n).encode())

    before = len(pictures.commits)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(32)))
    assert len(pictures.commits) == before + 32 and len(list(Storage().ls(f"{REPO}/turns"))) == 32


def test_folder_goes_up_in_one_commit_and_comes_back(hub: Hub, pictures: Repository, tmp_path: Path) -> None:
    storage = Storage()
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "b.bin").write_bytes(os.urandom(30_000))
    (folder / "a.txt").write_text("a")
    before = len(pictures.commits)
    said: list[tuple[str, str]] = []
    storage.sync(str(folder), f"{REPO}/up", dry_run=lambda *what: said.append(what))
    assert sorted(said) == [("copy", f"{REPO}/up/a.txt"), ("copy", f"{REPO}/up/sub/b.bin")]
    assert len(pictures.commits) == before
    done = storage.sync(str(folder), f"{REPO}/up")
    assert (done.copied, done.failed, len(pictures.commits)) == (2, [], before + 1)
    again = storage.sync(str(folder), f"{REPO}/up")
    assert (again.copied, again.unchanged, len(pictures.commits)) == (0, 2, before + 1)
    (folder / "a.txt").write_text("b")  # as long as before
    (folder / "sub" / "b.bin").unlink()
    third = storage.sync(str(folder), f"{REPO}/up", delete=True)
    assert (third.copied, third.deleted) == (1, 1)
    down = storage.sync(f"{REPO}/up", str(tmp_path / "down"))
    assert down.copied == 1 and (tmp_path / "down" / "a.txt").read_text() == "b"
    assert storage.sync(f"{REPO}/up", str(tmp_path / "down")).unchanged == 1
    (tmp_path / "down" / "a.txt").write_text("c")
    assert storage.sync(f"{REPO}/up", str(tmp_path / "down")).copied == 1
    assert not (tmp_path / "down" / "sub").exists()


@pytest.mark.parametrize("name", ["../out.txt", "/abs.txt", "a/../../out.txt", "a\nb.txt", "x" * 300])
def test_names_of_a_hostile_repository_stay_inside_the_folder(
    hub: Hub, pictures: Repository, tmp_path: Path, name: str
) -> None:
    hub.commit(pictures, {name: b"evil"})
    target = tmp_path / "deep" / "target"
    done = Storage().sync(REPO, str(target))
    assert [lost.reason.split(":")[0] for lost in done.failed] == ["refused_name"]
    assert done.copied == len(FILES) + 1
    assert not any(p.read_bytes() == b"evil" for p in tmp_path.rglob("*") if p.is_file() and "home" not in p.parts)


def test_cache_is_asked_whether_the_file_changed(hub: Hub, pictures: Repository) -> None:
    storage = Storage()
    first = storage.download(f"{REPO}/a.JPG")
    hub.requests.clear()
    assert storage.download(f"{REPO}/a.JPG") == first
    assert not any("/resolve/" in r for r in hub.requests)
    hub.commit(pictures, {"a.JPG": b"\xff\xd8" + b"c" * 5000})
    assert storage.download(f"{REPO}/a.JPG").read_bytes() == b"\xff\xd8" + b"c" * 5000


def test_everything_arrives_through_a_network_that_breaks(hub: Hub, pictures: Repository, tmp_path: Path) -> None:
    many = {f"many/{n:03}.jpg": os.urandom(3000 + n) for n in range(120)}
    hub.commit(pictures, many)
    faults = Faults(refuse=0.05, error=0.05, reset=0.05, half=0.05)
    with FaultProxy(hub.endpoint, faults, seed=3) as proxy:
        storage = Storage(hub=HubSettings(endpoint=proxy.endpoint))
        done = storage.sync(f"{REPO}/many", str(tmp_path / "down"))
        assert (done.copied, done.failed) == (120, [])
        storage.sync(str(tmp_path / "down"), f"{REPO}/up")
        assert sum(proxy.injected.values()) > 10
    for name, data in many.items():
        assert (tmp_path / "down" / name.removeprefix("many/")).read_bytes() == data
    assert {i.etag for i in Storage().ls(f"{REPO}/up")} == {i.etag for i in Storage().ls(f"{REPO}/many")}


def test_large_files_stream_both_ways_and_resume_where_they_broke(
    hub: Hub, pictures: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.storage.hub.backend.SMALL_BYTES", 100_000)
    (tmp_path / "large.bin").write_bytes(os.urandom(3_000_000))
    storage = Storage()
    storage.upload(tmp_path / "large.bin", f"{REPO}/large.bin")
    with FaultProxy(hub.endpoint, Faults(reset=0.5, half=0.5), seed=2) as proxy:
        through = Storage(hub=HubSettings(endpoint=proxy.endpoint))
        got = through.download(f"{REPO}/large.bin")
        assert got.read_bytes() == (tmp_path / "large.bin").read_bytes() and proxy.injected
    with pytest.raises(StorageError, match="no such file"):
        storage.copy(f"{REPO}/none.bin", str(tmp_path / "none.bin"))
    assert not (tmp_path / "none.bin").exists()


def test_a_commit_whose_answer_was_lost_is_not_made_twice(hub: Hub, pictures: Repository) -> None:
    before = len(pictures.commits)
    with FaultProxy(hub.endpoint, Faults(lost=1.0, at_most=1), seed=1) as proxy:
        Storage(hub=HubSettings(endpoint=proxy.endpoint)).write(f"{REPO}/once.txt", b"1")
    assert len(pictures.commits) == before + 1


def test_an_upload_that_is_repeated_is_told_without_its_signature(
    hub: Hub,
    pictures: Repository,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "propagate", True)
    with FaultProxy(hub.endpoint, Faults(reset=1.0, at_most=1)) as proxy:
        Storage(hub=HubSettings(endpoint=proxy.endpoint)).write(f"{REPO}/large.bin", os.urandom(300_000))
    shown = "".join((caplog.text, *capsys.readouterr()))
    assert "PUT http" in shown and hub.signature not in shown and "Upload" not in shown


def test_no_signed_address_and_no_token_in_an_error(hub: Hub, pictures: Repository) -> None:
    hub.contents.path(hashlib.sha256(FILES["data/x.jpg"]).hexdigest()).unlink()  # the storage behind the Hub lost it
    with pytest.raises(StorageError) as caught:
        Storage().read_bytes(f"{REPO}/data/x.jpg")
    shown = f"{caught.value} {caught.value.__cause__} {caught.value.reason}"
    assert hub.token not in shown and hub.signature not in shown and "/cdn/" not in shown


def test_storage_with_a_hub_goes_to_other_processes(pictures: Repository) -> None:
    storage = Storage()
    storage.read_bytes(f"{REPO}/lone")
    there = pickle.loads(pickle.dumps(storage))
    assert there == Storage() and there.read_bytes(f"{REPO}/lone") == storage.read_bytes(f"{REPO}/lone")
    assert hub_client.HubClient().settings.model_dump() == {"endpoint": ""}
    assert pickle.loads(pickle.dumps(parse(REPO))) == parse(REPO)
