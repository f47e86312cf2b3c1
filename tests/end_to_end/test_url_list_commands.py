"""A list of URLs as a user meets it: declared, run, and retried by reason."""

from pathlib import Path

from tests.conftest import EXAMPLES
from tests.end_to_end.conftest import Project
from tests.servers.http import Reply, WebServer


def test_list_is_run_and_its_timeouts_are_retried(tmp_path: Path, web: WebServer) -> None:
    project = Project(tmp_path)
    cache = {"AROT_CACHE": str(tmp_path / "cache")}
    photos = [p.read_bytes() for p in sorted(EXAMPLES.glob("photo/*/*.jpg"))[:3]]
    uris = [web.serve(f"/{n}.jpg", Reply(body=body)) for n, body in enumerate(photos)]
    slow = web.serve("/slow.jpg", Reply(body=photos[0][:-1] + b"x", latency=1.0))
    rows = [f"{uri},Caption {n}" for n, uri in enumerate([*uris, slow, web.serve("/gone.jpg", Reply(404))])]
    (tmp_path / "list.csv").write_text("\n".join(["url,caption", *rows]) + "\n")
    urls = {"allow_private": True, "attempts": 1, "read_seconds": 0.5}
    project.declare_dataset("museum", source="list.csv", metrics=["phash"], urls=urls)

    text = project.arot("run", "museum", **cache)
    assert "5 new" in text and "2 of 5 rows of samples failed" in text
    status = project.arot("status", "museum", **cache)
    assert "timeout" in status and "not_found" in status
    assert project.sql("select caption from museum.samples where status = 'ok' order by 1") == [
        ("Caption 0",), ("Caption 1",), ("Caption 2",)
    ]  # fmt: skip

    web.serve("/slow.jpg", Reply(body=photos[0] + b"\0"))
    text = project.arot("retry", "museum", "--reason", "timeout", **cache)
    assert "2 failed rows before, 1 now" in text
    assert web.count("/gone.jpg") == 1, "another reason was not meant"
    assert project.sql("select count(*) from museum.phash where status = 'ok'") == [(4,)]
    assert [web.count(f"/{n}.jpg") for n in range(3)] == [1, 1, 1], "metrics take what samples have fetched"
    assert "nothing to do" in project.arot("run", "museum", **cache)
