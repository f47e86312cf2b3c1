"""Remake ``docs/images/*.png``: the images of the Dagster UI and of the gallery in the documentation, from what `arot demo` left.

Belongs here: which pages, and what is opened on them. Run `arot demo` first, then ``python docs/screenshots.py [NAME …]``.
It needs the dev extra (Playwright) and a Chromium: ``$CHROMIUM``, or one on the path, or Playwright's own.
"""

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
START_SECONDS = 120.0
IDLE_SECONDS = 300.0
RUNS_UNDER_WAY = """{ runsOrError(filter: {statuses: [NOT_STARTED, QUEUED, STARTING, STARTED]}) {
  ... on Runs { results { id } } } }"""
WAIT_MS = 60_000
COLOURS = 192
"""Palette of the PNG files: enough for a page with photos, and a quarter of the bytes."""


def graph(page: "Page") -> None:
    """The lineage with the tables of `demo`, without the navigation at its left; all groups opened do not fit into a window."""
    _open(page, "/asset-groups?expanded=global%40global%3Ademo", "real_or_drawn")
    page.get_by_text("Hide navigation").click()
    page.reload()  # a graph is fitted into the window when its page is loaded
    page.get_by_text("Latest event").first.wait_for()
    page.wait_for_timeout(5000)  # details of the nodes come one by one


def asset(page: "Page") -> None:
    """A shard of samples: counts, failures by reason, contact sheet."""
    _open(page, "/assets/demo/samples?view=events", "Materialized")
    _show_markdown(page, "contact sheet")


def subset(page: "Page") -> None:
    """A subset: rows, checks, waterfall."""
    _open(page, "/assets/models/clean?view=events", "waterfall")


def review(page: "Page") -> None:
    """The gallery of `arot review`: an image that has four stars, and the metrics of all."""
    page.goto("/")
    page.get_by_role("gridcell").nth(3).click()
    page.wait_for_timeout(2000)
    page.get_by_title("Metrics / Filters").click()
    page.keyboard.press("4")
    page.wait_for_timeout(2000)


@contextlib.contextmanager
def running_ui() -> Iterator[str]:
    """`arot ui` on a free port; returns its address."""
    with _running([sys.executable, "-m", "arot_assets.cli", "ui"], "/server_info") as url:
        yield url


@contextlib.contextmanager
def running_gallery() -> Iterator[str]:
    """The gallery of a review; what is rated in it is kept nowhere."""
    made = subprocess.run(
        [sys.executable, "-m", "arot_assets.cli", "review", "technical", "--rater", "you", "--limit", "24", "--no-open"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    command = shlex.split(made.splitlines()[-1].partition("open them with: ")[2])
    place = command.index("--port")
    with _running([*command[:place], *command[place + 2 :], "--no-write"], "/") as url:
        yield url


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes:
        open: opens what it shows.
        window: width and height in pixels.
        left: pixels that are cut off at the left.
        width: pixels of the file.
        server: starts what shows it.
    """

    open: Callable[["Page"], None]
    window: tuple[int, int]
    left: int = 0
    width: int = 1440
    server: Callable[[], contextlib.AbstractContextManager[str]] = running_ui


PICTURES = {
    "graph": Picture(graph, (2560, 1800), left=370, width=1800),
    "asset": Picture(asset, (1440, 960)),
    "subset": Picture(subset, (1560, 900)),
    "review": Picture(review, (1440, 900), width=1200, server=running_gallery),
}


def main() -> None:
    """Start what is shown, take every image, stop it."""
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    wanted = {name: PICTURES[name] for name in sys.argv[1:] or PICTURES}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        for server in (running_ui, running_gallery):
            names = [name for name, picture in wanted.items() if picture.server is server]
            if not names:
                continue
            with server() as url:
                for name in names:
                    if server is running_ui:
                        wait_until_idle(url)
                    width, height = wanted[name].window
                    page = browser.new_page(base_url=url, viewport={"width": width, "height": height})
                    page.set_default_timeout(WAIT_MS)
                    wanted[name].open(page)
                    path = IMAGES / f"{name}.png"
                    path.write_bytes(compressed(page.screenshot(), wanted[name]))
                    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
                    page.close()
        browser.close()


@contextlib.contextmanager
def _running(command: list[str], answers: str) -> Iterator[str]:
    """A server on a free port, once it answers at an address; returns its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([*command, "--port", str(port)], cwd=ROOT, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}{answers}", timeout=5).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start; see what it printed above")
            time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_until_idle(url: str) -> None:
    """Wait until no run waits or runs: automation may have found something to do."""
    query = json.dumps({"query": RUNS_UNDER_WAY}).encode()
    deadline = time.monotonic() + IDLE_SECONDS
    while True:
        request = urllib.request.Request(f"{url}/graphql", query, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            if not json.load(answer)["data"]["runsOrError"]["results"]:
                return
        if time.monotonic() > deadline:
            raise SystemExit(f"runs are still under way after {IDLE_SECONDS:.0f} s; see {url}/runs")
        time.sleep(1)


def compressed(png: bytes, picture: Picture) -> bytes:
    """The screenshot cut, scaled and with a palette, as PNG."""
    from PIL import Image

    whole = Image.open(io.BytesIO(png)).convert("RGB")
    cut = whole.crop((picture.left, 0, whole.width, whole.height))
    scaled = cut.resize((picture.width, round(cut.height * picture.width / cut.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    scaled.quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _open(page: "Page", path: str, text: str) -> None:
    """Go to a page and wait until it shows a text."""
    page.goto(path)
    page.get_by_text(text).first.wait_for()
    page.wait_for_timeout(2000)  # images and layout come after the text


def _show_markdown(page: "Page", label: str) -> None:
    """Open the Markdown value of a metadata entry."""
    row = page.locator("tr", has=page.get_by_text(label, exact=True)).last
    row.get_by_text("Show Markdown").click()
    page.wait_for_timeout(1000)


if __name__ == "__main__":
    main()
