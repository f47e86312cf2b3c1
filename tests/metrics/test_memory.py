"""The memory of a pass: bounded by a budget, and the same for few images and for many."""

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from arot_assets.media.file import Limits
from arot_assets.media.image.medium import IMAGE
from arot_assets.metrics import memory
from arot_assets.metrics.memory import MemoryBudget
from arot_assets.metrics.one_pass import Item, MeasurementFailure, one_pass
from arot_assets.metrics.registry import get_metric
from tests.conftest import REPOSITORY
from tests.tiers import draws

METRICS = {name: get_metric(name) for name in ("cv2", "phash")}
PASS = """
import resource, sys
from pathlib import Path
from arot_assets.media.image.medium import IMAGE
from arot_assets.media.file import Limits
from arot_assets.metrics.one_pass import Item, MeasurementFailure, one_pass
from arot_assets.metrics.registry import get_metric

sample_id, file, width, height, count = *sys.argv[1:3], *map(int, sys.argv[3:])
metrics = {name: get_metric(name) for name in ("cv2", "phash")}
items = [Item(sample_id, file, frozenset(metrics), {"width": width, "height": height})] * count
cells = list(one_pass(items, metrics, lambda uri: Path(uri).read_bytes(), {}, medium=IMAGE, limits=Limits(), threads=2))
assert len(cells) == 2 * count and not any(isinstance(cell.result, MeasurementFailure) for cell in cells)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def picture(path: Path, width: int, height: int) -> Item:
    """A smooth image as JPEG."""
    across, down = np.linspace(0, 255, width), np.linspace(0, 255, height)
    pixels = np.stack(np.broadcast_arrays(across[None], down[:, None], 90.0), -1).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=80)
    return Item(
        hashlib.sha256(path.read_bytes()).hexdigest()[:32],
        str(path),
        frozenset(METRICS),
        {"width": width, "height": height},
    )


@settings(max_examples=draws(60), deadline=None)
@given(sizes=st.lists(st.integers(0, 30), max_size=40), limit=st.integers(0, 40), threads=st.integers(1, 6))
def test_images_in_flight_stay_below_the_limit_unless_one_is_alone(sizes: list[int], limit: int, threads: int) -> None:
    budget = MemoryBudget(limit)
    inside: list[int] = []
    lock = threading.Lock()

    def work(size: int) -> bool:
        with budget.hold(size):
            with lock:
                inside.append(size)
                fits = sum(inside) <= limit or sum(n > 0 for n in inside) == 1
            threading.Event().wait(0.0002)
            with lock:
                inside.remove(size)
        return fits

    with ThreadPoolExecutor(threads) as pool:
        started = [pool.submit(work, size) for size in sizes]
        assert all(future.result(timeout=60) for future in started)
    assert inside == []


def test_an_image_that_fails_gives_its_place_back() -> None:
    budget = MemoryBudget(10)
    with pytest.raises(ValueError), budget.hold(10):
        raise ValueError
    with budget.hold(10):
        pass


def test_budget_is_what_the_limit_leaves_beside_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "resident_bytes", lambda: 500_000_000)
    monkeypatch.setenv("AROT_MEMORY_MB", "1000")
    assert MemoryBudget().size == 500_000_000 - memory.RESERVE
    monkeypatch.setenv("AROT_MEMORY_MB", "400")
    assert MemoryBudget().size == 0


def test_a_limit_below_the_process_makes_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [picture(tmp_path / f"{n}.jpg", 300 + n, 200) for n in range(12)]

    def rows() -> list[object]:
        return list(
            one_pass(items, METRICS, lambda uri: Path(uri).read_bytes(), {}, medium=IMAGE, limits=Limits(9), threads=4)
        )

    usual = rows()
    monkeypatch.setenv("AROT_MEMORY_MB", "1")
    assert rows() == usual
    assert len(usual) == 24


def test_images_that_cannot_be_decoded_come_first_and_cost_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no image")
    bad = Item(hashlib.sha256(broken.read_bytes()).hexdigest()[:32], str(broken), frozenset(METRICS), {})
    items = [bad, bad, picture(tmp_path / "good.jpg", 64, 64), bad]
    cells = list(
        one_pass(items, METRICS, lambda uri: Path(uri).read_bytes(), {}, medium=IMAGE, limits=Limits(9), threads=2)
    )
    assert [isinstance(c.result, MeasurementFailure) for c in cells] == [True] * 4 + [False] * 2 + [True] * 2
    assert [c.sample_id for c in one_pass([bad], METRICS, lambda uri: b"", {}, medium=IMAGE, limits=Limits(9))] == [
        bad.sample_id
    ] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_four_times_the_images_take_the_same_memory(tmp_path: Path) -> None:
    item = picture(tmp_path / "large.jpg", 4000, 3000)

    def peak(count: int) -> int:
        arguments = [item.sample_id, item.uri, str(item.facts["width"]), str(item.facts["height"]), str(count)]
        done = subprocess.run(
            [sys.executable, "-c", PASS, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    few, many = peak(4), peak(16)
    assert many - few < 2 * 4 * 4000 * 3000  # 12 more images are 12 times 4 bytes a pixel; two threads hold 2
