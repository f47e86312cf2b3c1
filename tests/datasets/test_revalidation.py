"""A list of URLs whose servers are asked each time: another image at the same address is another object."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.sources.revalidation import ServerState, is_same
from sensors.source import describe_change
from tests.conftest import Dataset
from tests.datasets.test_url_list import ALLOWED, PHOTOS, URLS, cache, kinds, lines  # noqa: F401  # cache: of this test
from tests.servers.http import Reply, WebServer

MakeDataset = Callable[..., Dataset]


def pictures(web: WebServer, path: Path, tag: str = "etag") -> list[str]:
    """Three images, whose server tells this of them."""
    uris = []
    for n, photo in enumerate(PHOTOS[:3]):
        date = {"Last-Modified": f"Thu, 0{n + 1} Jan 2026 00:00:00 GMT"} if tag == "date" else {}
        reply = Reply(body=photo.read_bytes(), etag=f"v{n}" if tag == "etag" else None, headers=date)
        uris.append(web.serve(f"/{n}.jpg", reply))
    lines(path, *uris)
    return uris


@pytest.mark.parametrize("tag", ["etag", "date", "size"])
def test_picture_replaced_at_its_url_is_measured_again(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path, tag: str
) -> None:
    uris = pictures(web, tmp_path / "l.txt", tag)
    dataset = make_dataset(tmp_path / "l.txt", urls={**ALLOWED, "revalidate": True})
    dataset.run("phash")
    before = len(web.requests)
    again = dataset.inventory()
    assert (again.differs, again.unchanged) == (False, 3)
    assert [r.method for r in web.requests[before:]] == ["HEAD"] * 3, "no image is fetched"
    other = {"Last-Modified": "Fri, 09 Jan 2026 00:00:00 GMT"} if tag == "date" else {}
    body = PHOTOS[5].read_bytes()
    web.serve("/1.jpg", Reply(body=body, etag="new" if tag == "etag" else None, headers=other))
    found = dataset.inventory()
    assert (found.new, found.changed, found.unchanged) == (0, 1, 2)
    dataset.samples()
    dataset.metrics("phash")
    assert dataset.sql(f"select sha256 from d.samples where uri = '{uris[1]}'") == [(hashlib.sha256(body).hexdigest(),)]
    assert dataset.sql("select count(*) from d.phash where status = 'ok'") == [(3,)]
    assert not dataset.inventory().differs


def test_only_the_list_is_compared_where_servers_are_not_asked(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    path = tmp_path / "l.txt"
    pictures(web, path)
    asking = make_dataset(path, urls={**ALLOWED, "revalidate": True})
    asking.inventory()
    dataset = make_dataset(path, urls=ALLOWED)
    r = dataset.resources
    before = len(web.requests)
    assert not dataset.inventory().differs
    assert describe_change(r.storage, r.tables, asking.declaration) is None
    lines(path, *path.read_text().splitlines(), URLS[0])
    change = describe_change(r.storage, r.tables, asking.declaration)
    assert change is not None and change.text == "1 new, 0 changed, 0 gone"
    assert dataset.sql("select etag from d.inventory order by uri") == [("v0",), ("v1",), ("v2",)], "and are kept"
    assert len(web.requests) == before


def test_pictures_are_not_fetched_again_because_servers_are_asked_from_now_on(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    pictures(web, tmp_path / "l.txt")
    make_dataset(tmp_path / "l.txt", urls=ALLOWED).run()
    dataset = make_dataset(tmp_path / "l.txt", urls={**ALLOWED, "revalidate": True})
    assert not dataset.inventory().differs
    assert dataset.sql("select etag, size > 0 from d.inventory order by uri") == [(f"v{n}", True) for n in range(3)]
    web.serve("/1.jpg", Reply(body=PHOTOS[5].read_bytes(), etag="new"))
    assert dataset.inventory().changed == 1


def test_url_that_cannot_be_asked_stays_as_it_was_and_is_told(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    pictures(web, tmp_path / "l.txt")
    dataset = make_dataset(tmp_path / "l.txt", urls={**ALLOWED, "attempts": 1, "revalidate": True})
    dataset.inventory()
    web.serve("/1.jpg", Reply(404))
    web.serve("/2.jpg", Reply(reset=-1))
    r = dataset.resources
    plan, listing = take_inventory(r.storage, r.tables, dataset.declaration, datetime.now(UTC))
    assert not plan.differs and len(listing.problems) == 1
    assert listing.problems[0].startswith("2 of 3 URLs could not be checked for changes")
    assert dataset.sql("select etag from d.inventory order by uri") == [("v0",), ("v1",), ("v2",)]


def test_picture_that_came_to_be_is_taken_without_a_retry(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    (tmp_path / "l.txt").write_text(f"{web.serve('/a.jpg', Reply(404))}\n")
    dataset = make_dataset(tmp_path / "l.txt", urls={**ALLOWED, "revalidate": True})
    dataset.run()
    assert not dataset.inventory().differs
    web.serve("/a.jpg", Reply(body=PHOTOS[0].read_bytes(), etag="v1"))
    dataset.run()
    assert dataset.sql("select status from d.samples") == [("ok",)]


def test_owner_who_comes_to_forbid_training_is_heeded(
    make_dataset: MakeDataset, web: WebServer, tmp_path: Path
) -> None:
    pictures(web, tmp_path / "l.txt")
    dataset = make_dataset(tmp_path / "l.txt", urls={**ALLOWED, "revalidate": True})
    dataset.run()
    web.serve("/1.jpg", Reply(body=PHOTOS[1].read_bytes(), etag="v1", headers={"X-Robots-Tag": "noai"}))
    assert dataset.inventory().changed == 1
    dataset.samples()
    assert kinds(dataset) == {"1": "opt_out"}
    assert not dataset.inventory().differs


KNOWN = ServerState(10, datetime(2026, 1, 1, tzinfo=UTC), "v1")


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (KNOWN, True),
        (KNOWN._replace(etag="W/v1", mtime=None), True),
        (KNOWN._replace(etag="v2"), False),
        (KNOWN._replace(etag=None), True),
        (KNOWN._replace(etag=None, mtime=None), True),
        (KNOWN._replace(etag=None, size=11), False),
        (KNOWN._replace(etag=None, size=None, mtime=datetime(2026, 1, 2, tzinfo=UTC)), False),
        (ServerState(), False),
    ],
)
def test_etag_decides_then_time_then_size(now: ServerState, same: bool) -> None:
    assert is_same(KNOWN, now) is same and is_same(now, KNOWN) is same
