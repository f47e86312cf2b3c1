"""Remake ``docs/images/*.png``: the images of the Dagster UI in the documentation, from what `arot demo` left.

Belongs here: which pages, and what is opened on them. Run `arot demo` first, then ``python docs/screenshots.py [NAME …]``.
It needs the dev extra (Playwright) and a Chromium: ``$CHROMIUM``, or one on the path, or Playwright's own.
"""

import contextlib
import io
import json
import os
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
    """The whole lineage, every group opened, without the navigation at its left."""
    _open(page, "/asset-groups", "classifiers")
    page.get_by_text("Hide navigation").click()
    page.keyboard.press("Alt+e")  # Dagster's own shortcut: expand all groups
    page.get_by_text("clean_photos").first.wait_for()
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


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes:
        open: opens what it shows.
        window: width and height in pixels.
        left: pixels that are cut off at the left.
        width: pixels of the file.
    """

    open: Callable[["Page"], None]
    window: tuple[int, int]
    left: int = 0
    width: int = 1440


PICTURES = {
    "graph": Picture(graph, (2560, 1660), left=370, width=1800),
    "asset": Picture(asset, (1440, 960)),
    "subset": Picture(subset, (1560, 900)),
}


def main() -> None:
    """Start the UI, take every image, stop the UI."""
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    with running_ui() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        wanted = sys.argv[1:] or list(PICTURES)
        for name, picture in ((n, PICTURES[n]) for n in wanted):
            wait_until_idle(url)
            width, height = picture.window
            page = browser.new_page(base_url=url, viewport={"width": width, "height": height})
            page.set_default_timeout(WAIT_MS)
            picture.open(page)
            path = IMAGES / f"{name}.png"
            path.write_bytes(compressed(page.screenshot(), picture))
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
            page.close()
        browser.close()


@contextlib.contextmanager
def running_ui() -> Iterator[str]:
    """`arot ui` on a free port; returns its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "arot_assets.cli", "ui", "--port", str(port)], cwd=ROOT, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/server_info", timeout=5).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("arot ui did not start; see what it printed above")
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
