"""`arot review` as a person meets it: the real lenslet, installed by the command itself, in a real browser."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.trust import build_trust
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.conftest import EXAMPLES, Dataset
from tests.waiting import until, work_of

DECLARED = {
    "d": "type: arot_assets.components.ImageDataset\nattributes: {{name: d, source: {source}, metrics: [cv2]}}\n",
    "q": "type: arot_assets.components.Ratings\nattributes: {{name: q, dataset: d}}\n",
}
STARS = (4, 2, 5, 3, 1, 4, 4, 2, 5, 3)


@dataclass(frozen=True)
class Reviewed:
    """A project with photos, in which `arot review` is run as a process.

    Attributes:
        root: of the project.
        dataset: its photos.
    """

    root: Path
    dataset: Dataset

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query; none before there is such a table."""
        known = "select 1 from duckdb_views() where schema_name = 'ratings' and view_name = 'q'"
        return self.dataset.sql(query) if self.dataset.sql(known) else []

    @contextmanager
    def review(self, *options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
        """`arot review` while the gallery is open: its address, and the process."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "arot_assets.cli", "review", "q", "--rater", "Ann B.", "--port", str(port)]
        said = self.root / "said.log"
        environment = os.environ | {"AROT_PROJECT": str(self.root), "AROT_STORE": self.dataset.resources.tables.root}
        with said.open("w") as output:
            process = subprocess.Popen(
                [*command, *options], env=environment, stdout=output, stderr=subprocess.STDOUT, text=True
            )
        url = f"http://127.0.0.1:{port}/"
        try:
            until(
                "lenslet", lambda: process.poll() is not None or answers(url), work_of(process.pid), told=said.read_text
            )
            if process.poll() is not None and "cannot be installed" in said.read_text():
                pytest.skip(said.read_text().strip().splitlines()[-1])
            assert process.poll() is None, said.read_text()
            yield url, process
        finally:
            process.kill() if process.poll() is None else None
            process.wait()

    def close(self, process: "subprocess.Popen[str]") -> str:
        """Ctrl-C; returns what was said."""
        gallery = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        until("the end", lambda: process.poll() is not None, work_of(process.pid))
        said = (self.root / "said.log").read_text()
        assert process.returncode == 0, said
        assert gallery and not any(one.is_running() for one in gallery)
        return said


def answers(url: str) -> bool:
    """Whether a server listens there."""
    try:
        urllib.request.urlopen(url, timeout=60).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    """Twelve photos or more, measured, and nobody rated them."""
    root = tmp_path_factory.mktemp("review")
    storage = Storage()
    tables = Tables(store=str(root / "store"), storage=storage)
    resources = Resources(storage, tables, Warehouse(tables=tables), Models(device="cpu"))
    dataset = Dataset(resources, EXAMPLES / "photo", shard_size=100)
    dataset.run("cv2")
    for name, text in DECLARED.items():
        (root / "defs" / name).mkdir(parents=True)
        (root / "defs" / name / "defs.yaml").write_text(text.format(source=dataset.source))
    (root / "arot.toml").write_text("")
    (root / "dbt_like_sql").mkdir()
    (root / "dbt_like_sql" / "dbt_project.yml").write_text("name: p\nversion: '1'\nmodel-paths: [models]\n")
    return Reviewed(root, dataset)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of the size of a screen; an error of its scripts fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert not errors


def pressed(page: Any, key: str, saves: str) -> Any:
    """Press a key that saves something at an address; gives the answer."""
    with page.expect_response(lambda answer: saves in answer.url and answer.request.method != "GET") as saved:
        page.keyboard.press(key)
    assert saved.value.ok
    return saved.value


def shown(page: Any, before: str = "") -> str:
    """The path of the image that is shown, once another than before is there to be rated."""
    panel = "document.querySelector('[data-inspector-panel]').dataset"
    page.wait_for_function(f"before => ![before, ''].includes({panel}.inspectorPath)", arg=before)
    return str(page.evaluate(f"{panel}.inspectorPath"))


def test_ten_rated_images_are_ten_events_under_the_raters_name(reviewed: Reviewed, page: Any) -> None:
    with reviewed.review("--limit", "12") as (url, process):
        page.goto(url)
        page.get_by_role("gridcell").first.dblclick()  # one image fills the window
        given: dict[str, int] = {}
        path = shown(page)
        for star in STARS:
            pressed(page, str(star), "/item?")
            given[path.strip("/").removesuffix(".jpg")] = star
            if len(given) < len(STARS):
                page.keyboard.press("ArrowRight")
                path = shown(page, path)
        assert len(given) == len(STARS)
        counted = "select count(*) from ratings.q"
        until("ten events", lambda: reviewed.sql(counted) == [(10,)], work_of(process.pid))
        rows = reviewed.sql("select sample_id, value, rater, kind, status, rated_at is not null from ratings.q")
        assert sorted(rows) == sorted((sample, star, "Ann B.", "score", "ok", True) for sample, star in given.items())
        pressed(page, "1", "/item?")  # the last one again: a correction
        until("the correction", lambda: reviewed.sql(counted) == [(11,)], work_of(process.pid))
        page.goto("about:blank")  # a page without its server would complain
        said = reviewed.close(process)
    assert "new ratings taken in" in said
    last = list(given)[-1]
    told = f"select value, status from ratings.q where sample_id = '{last}' order by recorded_at"
    assert reviewed.sql(told) == [(given[last], "replaced"), (1, "ok")]
    build_trust(reviewed.dataset.resources.tables, RatingsDeclaration(name="q", dataset="d"))
    assert dict(reviewed.sql("select sample_id, mean from q.scale")) == given | {last: 1}


def test_pairs_and_rankings_with_ties_come_back_in_order(reviewed: Reviewed, page: Any) -> None:
    for group, keys, ranks in ((2, "21", [2, 1]), (3, "121", [1, 2, 1])):
        with reviewed.review("--limit", "6", "--group", str(group)) as (url, process):
            page.goto(url)
            page.get_by_text(f"Press 1-{group}").wait_for()
            for key in keys:
                pressed(page, key, "/rank/save")
            kind = "pair" if group == 2 else "ranking"
            query = f"select ranks, rater, status, len(samples), seconds > 0 from ratings.q where kind = '{kind}'"
            found = until(kind, partial(reviewed.sql, query), work_of(process.pid))
            assert found == [(ranks, "Ann B.", "ok", group, True)]
            page.goto("about:blank")
            reviewed.close(process)
