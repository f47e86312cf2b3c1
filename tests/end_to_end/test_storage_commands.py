"""`arot ls|cat|peek|cp|sync|rm` on every scheme, and what `arot doctor` says of servers."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from arot_assets.cli import main
from arot_assets.cli.endpoints import hub_finding, s3_findings
from resources import notebook as nb
from resources.storage import Storage
from resources.storage.s3.settings import S3Settings
from tests.conftest import REPOSITORY
from tests.servers.http import Reply, WebServer
from tests.servers.hub import Hub
from tests.servers.swift import Swift, free_ports


def arot(*arguments: str | Path, status: int = 0, answer: str | None = None) -> Result:
    """Run ``arot …`` in this process; fails on another exit status than expected."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=answer)
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def s3(swift: Swift, monkeypatch: pytest.MonkeyPatch) -> Swift:
    """The S3 server, which this process's environment names."""
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    return swift


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place with three objects on each scheme that can be written."""
    if request.param == "local":
        place = str(tmp_path / "place")
    else:
        request.getfixturevalue("s3")
        place = f"s3://{request.getfixturevalue('bucket')}/place"
    for name in ("a.JPG", "deep/b.txt", "deep/a.JPG"):
        Storage().write(f"{place}/{name}", name.encode() * 100)
    return place


def names(place: str | Path) -> list[str]:
    """What is below a place."""
    return nb.ls(place, relative=True)


def test_ls_lists_below_here_long_and_counted(root: str) -> None:
    assert sorted(arot("ls", root).output.split()) == sorted(nb.ls(root))
    assert arot("ls", root, "-e", "jpg").output.count("a.JPG") == 2
    assert "1,000  20" in arot("ls", "-l", f"{root}/deep/b.txt").output
    assert arot("ls", "--here", root).output.split() == ["a.JPG", "deep"]
    assert arot("ls", "-s", root).output.startswith("3 objects, 2,500 bytes")
    for option in ((), ("--here",), ("-s",)):
        assert "Error: cannot" in arot("ls", *option, f"{root}/missing", status=1).output
    arot("ls", "--here", "-l", root, status=2)


def test_cat_writes_the_bytes_as_they_are(root: str) -> None:
    assert arot("cat", f"{root}/a.JPG", f"{root}/deep/b.txt").stdout_bytes == b"a.JPG" * 100 + b"deep/b.txt" * 100
    assert arot("cat", "--bytes", "1:7", f"{root}/a.JPG").stdout_bytes == b".JPGa."
    assert arot("cat", "--bytes", "495:", f"{root}/a.JPG").stdout_bytes == b"a.JPG"
    arot("cat", "--bytes", "x", f"{root}/a.JPG", status=2)
    assert "missing" in arot("cat", f"{root}/missing", status=1).output


def test_peek_tells_what_a_file_is(root: str) -> None:
    nb.saves([{"n": 1}, {"n": 2}], f"{root}/t.parquet")
    output = arot("peek", "-n", "1", f"{root}/t.parquet").output
    assert "rows 2" in output and "n: int64" in output and "{'n': 1}" in output and "{'n': 2}" not in output
    assert "list" in arot("peek", "-e", "txt", f"{root}/a.JPG").output
    assert "Error" in arot("peek", f"{root}/a.JPG", status=1).output


def test_cp_copies_objects_into_a_folder_or_under_a_name(root: str, tmp_path: Path) -> None:
    arot("cp", f"{root}/a.JPG", tmp_path / "name.jpg")
    assert (tmp_path / "name.jpg").read_bytes() == b"a.JPG" * 100
    arot("cp", f"{root}/a.JPG", f"{root}/deep/b.txt", f"{tmp_path}/new/")
    arot("cp", tmp_path / "name.jpg", f"{root}/deep")
    assert sorted(names(f"{root}/deep")) == ["a.JPG", "b.txt", "name.jpg"]


def test_cp_never_lets_two_objects_become_one(root: str, tmp_path: Path) -> None:
    output = arot("cp", f"{root}/a.JPG", f"{root}/deep/a.JPG", f"{tmp_path}/new/", status=2).output
    assert "would both be" in output and not (tmp_path / "new").exists()
    assert "end it with /" in arot("cp", f"{root}/a.JPG", f"{root}/deep/b.txt", tmp_path / "x", status=2).output
    assert "-r" in arot("cp", root, tmp_path / "x", status=2).output
    arot("cp", "-r", root, root, tmp_path / "x", status=2)


def test_cp_recursive_and_sync_bring_the_same_tree(root: str, tmp_path: Path) -> None:
    assert "3 copied" in arot("cp", "-r", root, tmp_path / "one").output
    assert names(tmp_path / "one") == names(root)
    assert "0 copied (0 bytes), 3 unchanged" in arot("sync", root, tmp_path / "one").output
    (tmp_path / "one" / "more.txt").write_text("x")
    assert "1 copied" in arot("sync", tmp_path / "one", root).output
    Storage().delete(f"{root}/more.txt")
    assert "1 deleted" in arot("sync", "--delete", root, tmp_path / "one").output
    assert names(tmp_path / "one") == names(root) == ["a.JPG", "deep/a.JPG", "deep/b.txt"]
    arot("sync", "-e", "TXT", root, tmp_path / "two")
    assert names(tmp_path / "two") == ["deep/b.txt"]
    arot("sync", "--delete", "-e", "txt", root, tmp_path / "two", status=2)
    assert "Error" in arot("sync", f"{root}/missing", tmp_path / "two", status=1).output


def test_dry_run_of_sync_says_what_would_be_done_and_does_nothing(root: str, tmp_path: Path) -> None:
    arot("sync", root, tmp_path / "one")
    (tmp_path / "one" / "deep" / "b.txt").write_text("changed, so it is smaller")
    (tmp_path / "one" / "more.txt").write_text("x")
    output = arot("sync", "--dry-run", "--delete", root, tmp_path / "one").output
    assert output.splitlines() == [
        f"copy {tmp_path}/one/deep/b.txt",
        f"delete {tmp_path}/one/more.txt",
        "dry run: 1 to copy (1,000 bytes), 2 unchanged, 1 to delete",
    ]
    assert (tmp_path / "one" / "deep" / "b.txt").read_text().startswith("changed")
    assert (tmp_path / "one" / "more.txt").exists()
    assert "delete" not in arot("sync", "-n", root, tmp_path / "one").output
    assert "3 to copy" in arot("sync", "-n", root, tmp_path / "two").output and not (tmp_path / "two").exists()


def test_what_could_not_be_copied_is_named_and_the_exit_status_says_so(tmp_path: Path, s3: Swift, bucket: str) -> None:
    client = s3.client()
    for key in ("t/good.txt", "t/../../evil.txt"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    output = arot("sync", f"s3://{bucket}/t", tmp_path / "below" / "here", status=1).output
    assert "evil.txt" in output and "1 copied" in output
    assert [p.name for p in tmp_path.rglob("*.txt")] == ["good.txt"]


def test_cp_takes_a_page_of_the_web(root: str, web: WebServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = web.serve("/a.txt", Reply(body=b"page"))
    assert "private" in arot("cp", url, f"{root}/page.txt", status=1).output
    monkeypatch.setenv("AROT_HTTP_ALLOW_PRIVATE", "1")
    arot("cp", url, f"{root}/page.txt")
    assert Storage().read_bytes(f"{root}/page.txt") == b"page"
    assert "404" in arot("cp", f"{url}-missing", tmp_path, status=1).output


def test_rm_deletes_one_and_asks_before_many(root: str) -> None:
    arot("rm", f"{root}/a.JPG")
    assert "Error: cannot" in arot("rm", f"{root}/a.JPG", status=1).output
    assert "-r" in arot("rm", root, status=2).output
    output = arot("rm", "-r", root, status=1).output
    assert "Delete 2 objects, 2,000 bytes" in output and "--yes" in output
    assert names(root) == ["deep/a.JPG", "deep/b.txt"]
    assert "2 deleted" in arot("rm", "-r", "--yes", root).output
    assert not Storage().exists(root)
    arot("rm", "-r", "--yes", root, status=1)


def test_rm_of_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept.txt").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "inner").symlink_to(tmp_path / "folder")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    arot("rm", "-r", "--yes", tmp_path / "link", tmp_path / "other")
    assert (tmp_path / "folder" / "kept.txt").exists()
    assert not (tmp_path / "link").is_symlink() and not (tmp_path / "other").exists()


def test_rm_refuses_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    (tmp_path / "home" / "me").mkdir(parents=True)
    (tmp_path / "home" / "me" / "a").touch()
    for place in (tmp_path / "home" / "me", tmp_path / "home", Path("/")):
        assert "home folder" in arot("rm", "-r", "--yes", place, status=1).output
    assert (tmp_path / "home" / "me" / "a").exists()


def test_a_person_is_asked_and_may_say_no(root: str) -> None:
    """The question itself needs a terminal: a real one."""
    import os
    import pty

    def rm(answer: bytes) -> int:
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "arot_assets.cli", "rm", "-r", root],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=REPOSITORY,
        )
        os.write(leader, answer)
        status = process.wait(120)
        os.close(leader)
        os.close(follower)
        return status

    assert rm(b"n\n") == 1 and len(names(root)) == 3
    assert rm(b"y\n") == 0 and not Storage().exists(root)


@pytest.mark.parametrize("command", ["ls", "cat", "peek", "cp", "sync", "rm"])
def test_help_has_examples(command: str) -> None:
    output = arot(command, "--help").output
    assert f"arot {command} " in output and "xample" in output


# ---------------------------------------------------------------- doctor


def test_doctor_says_whether_s3_takes_the_credentials(s3: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(store: str = "/tmp/store", *sources: str) -> tuple[str, str]:
        (finding,) = s3_findings(S3Settings(), store, sources)
        text = f"{finding.text} -> {finding.remedy}"
        assert s3.secret_key not in text and "not-the-secret" not in text
        return finding.level, text

    assert looked() == ("ok", f"{s3.endpoint}, credentials accepted -> ")
    assert looked(f"s3://{bucket}/store")[0] == "ok"
    assert looked("/tmp/store", f"s3://{bucket}/source")[0] == "problem", "a source must be there"
    assert "NoSuchBucket" in looked("s3://no-such-bucket/store")[1]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    level, text = looked()
    assert level == "problem" and "SignatureDoesNotMatch" in text and "AWS_SECRET_ACCESS_KEY" in text
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    level, text = looked()
    assert level == "problem" and "not reachable" in text
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert looked()[0] == "problem"


def test_doctor_without_s3_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("AWS_", "AROT_S3")):
            monkeypatch.delenv(name)
    (finding,) = s3_findings(S3Settings(), "/tmp/store", ["/tmp"])
    assert finding.level == "note"


def test_doctor_says_whether_the_hub_takes_the_token(hub: Hub, tmp_path: Path) -> None:
    with hub.as_default(tmp_path, hub.token):
        found = hub_finding(False)
        assert found.level == "ok" and "user owner" in found.text and hub.token not in repr(found)
    with hub.as_default(tmp_path, "hf_wrong"):
        found = hub_finding(False)
        assert found.level == "problem" and "$HF_TOKEN is rejected" in found.text and "hf_wrong" not in repr(found)
    with hub.as_default(tmp_path):
        assert "no token" in hub_finding(True).text
    hub.__exit__(None, None, None)
    with hub.as_default(tmp_path, hub.token):
        assert "not reachable" in hub_finding(False).text
