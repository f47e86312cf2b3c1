"""The Hub of the tests answers the real client as the Hub does: what the storage code relies on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem, hf_hub_download
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from tests.servers.hub import Hub

ID = "owner/pictures"


@pytest.fixture(autouse=True)
def client(hub: Hub, tmp_path: Path):  # type: ignore[no-untyped-def]
    """The client of this process uses the Hub, with an empty cache and no token."""
    with hub.as_default(tmp_path / "home"):
        yield


@pytest.fixture
def api(hub: Hub) -> HfApi:
    """A client with the owner's token."""
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small dataset: text, and bytes that go to LFS."""
    root = tmp_path / "folder"
    (root / "data" / "sub").mkdir(parents=True)
    (root / "README.md").write_text("---\nlicense: mit\n---\n# Images\n")
    (root / "data" / "a.jpg").write_bytes(b"\xff\xd8" + os.urandom(50_000))
    (root / "data" / "sub" / "ü b.txt").write_text("text")
    (root / "data2").mkdir()
    (root / "data2" / "empty.jpg").write_bytes(b"")
    return root


def test_folder_arrives_in_one_commit_and_comes_back(api: HfApi, folder: Path) -> None:
    api.create_repo(ID, repo_type="dataset", private=True)
    commit = api.upload_folder(repo_id=ID, repo_type="dataset", folder_path=folder)
    assert next(c.commit_id for c in api.list_repo_commits(ID, repo_type="dataset")) == commit.oid
    assert len(api.list_repo_commits(ID, repo_type="dataset")) == 2
    got = Path(api.snapshot_download(ID, repo_type="dataset"))
    for path in (p for p in folder.rglob("*") if p.is_file()):
        assert (got / path.relative_to(folder)).read_bytes() == path.read_bytes()
    info = api.dataset_info(ID, files_metadata=True)
    assert info.private and info.sha == commit.oid and info.card_data is not None and info.card_data.license == "mit"
    assert info.siblings is not None and {s.rfilename: s.lfs is not None for s in info.siblings}["data/a.jpg"]


def test_unchanged_upload_makes_no_commit(api: HfApi, folder: Path) -> None:
    api.create_repo(ID, repo_type="dataset")
    first = api.upload_folder(repo_id=ID, repo_type="dataset", folder_path=folder)
    again = api.upload_folder(repo_id=ID, repo_type="dataset", folder_path=folder)
    assert again.oid == first.oid
    assert len(api.list_repo_commits(ID, repo_type="dataset")) == 2


def test_known_content_is_not_uploaded_twice(hub: Hub, api: HfApi) -> None:
    api.create_repo(ID, repo_type="dataset")
    data = os.urandom(2000)
    for name in ("1.png", "2.png"):
        api.upload_file(path_or_fileobj=data, path_in_repo=name, repo_id=ID, repo_type="dataset")
    assert sum(n for request, n in hub.requests.items() if request.startswith("PUT /lfs-storage")) == 1


def test_big_file_is_uploaded_in_parts(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    hub.multipart_bytes = 1_000_000
    data = os.urandom(2_500_000)
    (tmp_path / "big.npy").write_bytes(data)
    api.create_repo(ID)
    api.upload_file(path_or_fileobj=tmp_path / "big.npy", path_in_repo="big.npy", repo_id=ID)
    assert Path(api.hf_hub_download(ID, "big.npy")).read_bytes() == data
    assert sum(n for request, n in hub.requests.items() if request.startswith("PUT /lfs-storage")) == 3


def test_commit_adds_removes_and_minds_its_parent(api: HfApi) -> None:
    api.create_repo(ID, repo_type="dataset")
    add = [CommitOperationAdd("x/1.txt", b"1"), CommitOperationAdd("x/2.txt", b"2"), CommitOperationAdd("y.txt", b"y")]
    first = api.create_commit(ID, add, commit_message="add", repo_type="dataset")
    gone = [CommitOperationDelete("x/", is_folder=True)]
    second = api.create_commit(ID, gone, commit_message="rm", repo_type="dataset", parent_commit=first.oid)
    assert api.list_repo_files(ID, repo_type="dataset") == [".gitattributes", "y.txt"]
    assert "x/1.txt" in api.list_repo_files(ID, repo_type="dataset", revision=first.oid)
    with pytest.raises(HfHubHTTPError) as error:
        late = [CommitOperationAdd("z.txt", b"z")]
        api.create_commit(ID, late, commit_message="late", repo_type="dataset", parent_commit=first.oid)
    assert error.value.response.status_code == 412
    assert api.dataset_info(ID).sha == second.oid


def test_tree_is_listed_in_pages(hub: Hub, api: HfApi) -> None:
    repository = hub.create(ID)
    hub.commit(repository, {f"f/{i:03}.txt": str(i).encode() for i in range(25)} | {"f2/x.txt": b"x"})
    hub.page = 10
    tree = list(api.list_repo_tree(ID, repo_type="dataset", recursive=True))
    assert len({e.path for e in tree}) == len(tree) == 25 + 1 + 2 + 1
    assert [e.path for e in api.list_repo_tree(ID, "f2", repo_type="dataset")] == ["f2/x.txt"]
    [detailed] = api.list_repo_tree(ID, "f2", repo_type="dataset", expand=True)
    assert detailed.last_commit is not None and detailed.last_commit.oid == repository.branches["main"]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(ID, "none", repo_type="dataset"))
    [one] = api.get_paths_info(ID, ["f/003.txt", "none"], repo_type="dataset")
    assert isinstance(one, RepoFile) and (one.path, one.size) == ("f/003.txt", 1)


def test_branch_and_tag_name_a_commit(hub: Hub, api: HfApi) -> None:
    repository = hub.create(ID)
    old = hub.commit(repository, {"v.txt": b"old"}).id
    api.create_branch(ID, branch="work/a", repo_type="dataset")
    api.create_tag(ID, tag="v1", repo_type="dataset", revision=old)
    new = hub.commit(repository, {"v.txt": b"new"}).id
    refs = api.list_repo_refs(ID, repo_type="dataset")
    assert {b.name: b.target_commit for b in refs.branches} == {"main": new, "work/a": old}
    assert {t.name: t.target_commit for t in refs.tags} == {"v1": old}
    for revision, text in {"main": b"new", "work/a": b"old", "v1": b"old", new: b"new", old: b"old"}.items():
        path = api.hf_hub_download(ID, "v.txt", repo_type="dataset", revision=revision)
        assert Path(path).read_bytes() == text
        assert api.dataset_info(ID, revision=revision).sha in Path(path).parts
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(ID, revision="none")


def test_file_system_lists_and_reads_ranges(hub: Hub) -> None:
    repository = hub.create(ID)
    data = os.urandom(300_000)
    old = hub.commit(repository, {"d/a.jpg": data, "d/t.txt": b"old text"}).id
    hub.commit(repository, {"d/t.txt": b"new", "d2/x.txt": b"x"})
    fs = HfFileSystem(endpoint=hub.endpoint, token=False)
    assert fs.ls(f"datasets/{ID}/d", detail=False) == [f"datasets/{ID}/d/a.jpg", f"datasets/{ID}/d/t.txt"]
    with fs.open(f"datasets/{ID}/d/a.jpg", block_size=10_000) as file:
        file.seek(123_456)
        assert file.read(100) == data[123_456:123_556]
    assert fs.cat_file(f"datasets/{ID}@{old}/d/t.txt") == b"old text"
    assert fs.cat_file(f"hf://datasets/{ID}/d/t.txt") == b"new"
    assert list(fs.find(f"datasets/{ID}@{old}/d")) == [f"datasets/{ID}@{old}/d/{n}" for n in ("a.jpg", "t.txt")]


def test_file_system_writes_a_commit_a_file(hub: Hub, api: HfApi) -> None:
    api.create_repo(ID, repo_type="dataset")
    fs = HfFileSystem(endpoint=hub.endpoint, token=hub.token)
    with fs.open(f"datasets/{ID}/n/a.txt", "wb") as file:
        file.write(b"written")
    assert Path(api.hf_hub_download(ID, "n/a.txt", repo_type="dataset")).read_bytes() == b"written"


def test_private_repository_needs_the_right_token(hub: Hub, api: HfApi) -> None:
    hub.commit(hub.create(ID, private=True), {"a.txt": b"a", "b.jpg": b"b"})
    for token in (False, hub.other_token):
        with pytest.raises(RepositoryNotFoundError):
            HfApi(endpoint=hub.endpoint, token=token).dataset_info(ID)
        with pytest.raises(RepositoryNotFoundError):
            hf_hub_download(ID, "a.txt", repo_type="dataset", endpoint=hub.endpoint, token=token)
    with pytest.raises(HfHubHTTPError) as error:
        HfApi(endpoint=hub.endpoint, token="hf_wrong").dataset_info(ID)
    assert error.value.response.status_code == 401 and "Invalid credentials" in str(error.value)
    assert Path(api.hf_hub_download(ID, "b.jpg", repo_type="dataset")).read_bytes() == b"b"


def test_only_the_owner_writes(hub: Hub) -> None:
    hub.create(ID)
    other = HfApi(endpoint=hub.endpoint, token=hub.other_token)
    assert other.whoami()["name"] == "other"
    with pytest.raises(HfHubHTTPError) as error:
        other.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=ID, repo_type="dataset")
    assert error.value.response.status_code == 403
    with pytest.raises(HfHubHTTPError) as error:
        other.create_repo("owner/mine", repo_type="dataset")
    assert error.value.response.status_code == 403


def test_gated_and_missing_are_told_apart(hub: Hub, api: HfApi) -> None:
    hub.commit(hub.create(ID, gated=True), {"a.txt": b"a"})
    with pytest.raises(GatedRepoError):
        hf_hub_download(ID, "a.txt", repo_type="dataset", endpoint=hub.endpoint, token=False)
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(ID, "none.txt", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.hf_hub_download("owner/none", "none.txt", repo_type="dataset")


def test_creating_twice_and_a_broken_card_are_refused(api: HfApi) -> None:
    url = api.create_repo(ID, repo_type="dataset")
    assert api.create_repo(ID, repo_type="dataset", exist_ok=True) == url
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo(ID, repo_type="dataset")
    assert error.value.response.status_code == 409
    with pytest.raises((BadRequestError, ValueError)):
        card = b"---\nlicense: [mit\n---\n"
        api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=ID, repo_type="dataset")


def test_client_in_another_process_finds_it_by_its_variables(hub: Hub, tmp_path: Path) -> None:
    code = (
        "import fsspec, huggingface_hub as h\n"
        f"h.create_repo('{ID}', repo_type='dataset')\n"
        f"h.upload_file(path_or_fileobj=b'hello', path_in_repo='a.bin', repo_id='{ID}', repo_type='dataset')\n"
        f"print(fsspec.filesystem('hf').cat_file('datasets/{ID}/a.bin').decode())\n"
    )
    environment = {**os.environ, **hub.environment(tmp_path / "other", hub.token)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "hello", done.stderr
