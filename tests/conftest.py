"""What many tests share: resources over a temporary store, and folders of real images."""

import gc
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer

from arot_assets.datasets.changes import InventoryChanges
from arot_assets.datasets.duplicates import settle
from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.declarations import ImageDataset
from arot_assets.metrics.build import build_metrics
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.rows import build_rows
from arot_assets.metrics.table_builder import MetricResult
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse
from tests.browser import browser  # noqa: F401
from tests.disks import small_disk  # noqa: F401
from tests.order import Pieces, place
from tests.servers.fixtures import bucket, hub, swift, web  # noqa: F401  # servers, for any test that names them
from tests.temporary import choose_folder, give_back
from tests.tiers import draws, is_slow

REPOSITORY = Path(__file__).parents[1]
DATA = REPOSITORY / "tests" / "data"
EXAMPLES = REPOSITORY / "examples" / "images"


SLOW_DRAWS = hypothesis.HealthCheck.too_slow
hypothesis.settings.register_profile(
    "arot", max_examples=draws(100), deadline=None, suppress_health_check=[SLOW_DRAWS], derandomize=True
)  # neither a loaded machine nor luck is a failure: a test draws the same examples in every run and in any order
hypothesis.settings.load_profile("arot")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--shuffle``: every test must pass in any order."""
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run files, and the tests of each, in a random order")


def pytest_configure(config: pytest.Config) -> None:
    """Tests write to memory where there is room; workers below the folder of the process that started them."""
    if config.option.basetemp is None:
        choose_folder()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """What all tests wrote takes no memory afterwards; where one failed it stays, to be looked at."""
    written = session.config._tmp_path_factory._basetemp  # type: ignore[attr-defined]
    if exitstatus == 0 and written is not None and session.config.option.basetemp is None:
        give_back(written)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files that take long come first, so that at the end no worker waits for another; slow tests are marked."""
    items.sort(key=lambda item: place(item.nodeid))
    if (seed := config.getoption("--shuffle")) is not None:
        files = sorted({item.path for item in items})
        places = {file: n for n, file in enumerate(random.Random(seed).sample(files, len(files)))}
        random.Random(seed).shuffle(items)
        items.sort(key=lambda item: places[item.path])  # a file's servers and built stores are its own
    for item in items:
        if is_slow(item):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What has been imported by now stays: the garbage collector need not go through it again and again."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Pieces | None:
    """With ``--dist loadfile``, files of long tests that share nothing are divided."""
    return Pieces(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that need a GPU skip themselves without one; to collect them imports no PyTorch."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """Resources over an empty store."""
    storage = Storage()
    tables = Tables(store=str(tmp_path / "store"), storage=storage)
    return Resources(storage, tables, Warehouse(tables=tables), Models(device="cpu"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with twelve real photos of three classes, captions and JSON beside them."""
    folder = tmp_path / "source"
    for kind in ("city", "sea", "mountain"):
        pictures = sorted(p for p in (EXAMPLES / "photo" / kind).iterdir() if p.suffix == ".jpg")[:4]
        for picture in pictures:
            for file in picture.parent.glob(f"{picture.stem}.*"):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / kind / file.name)
    return folder


class Dataset:
    """One dataset, worked on without Dagster."""

    def __init__(
        self, resources: Resources, source: Path, name: str = "d", shard_size: int = 5, **fields: object
    ) -> None:
        self.resources = resources
        self.source = source
        self.declaration = ImageDataset.model_validate(
            {"name": name, "source": str(source), "shard_size": shard_size, "settle_seconds": 0, **fields}
        )

    def inventory(self) -> InventoryChanges:
        """List the source, plan shards, and settle who is the original now."""
        r = self.resources
        plan, _ = take_inventory(r.storage, r.tables, self.declaration, datetime.now(UTC))
        settle(r.warehouse, self.declaration.name)
        return plan

    def samples(self, retry: str | None = None) -> dict[str, int]:
        """Samples of all shards, settled; gives the number of objects read."""
        r = self.resources
        read = {s: build_samples(r.storage, r.tables, self.declaration, s, retry).read for s in self.shards()}
        settle(r.warehouse, self.declaration.name)
        return read

    def metrics(self, *names: str, retry: str | None = None) -> dict[str, MetricResult]:
        """Metric tables of all shards; returns the sums over shards."""
        r = self.resources
        total = {name: MetricResult() for name in names}
        for shard in self.shards():
            wanted = [get_metric(n) for n in names]
            seeing = [m for m in wanted if m.rows is None]
            found = build_metrics(r.storage, r.warehouse, r.models, self.declaration, shard, seeing, retry=retry)
            for metric in wanted:
                if metric.rows is not None:
                    found |= build_rows(r.warehouse, r.models, self.declaration.name, shard, [metric], retry=retry)
            for name, one in found.items():
                for field in ("rows", "computed", "copied", "kept"):
                    setattr(total[name], field, getattr(total[name], field) + getattr(one, field))
                total[name].failures.update(one.failures)
                total[name].error = total[name].error or one.error
                total[name].model = total[name].model or one.model
        return total

    def shards(self) -> list[str]:
        """All shards of the inventory."""
        return sorted(
            set(self.resources.tables.read(TableRef(self.declaration.name, "inventory"))["shard"].to_pylist())
        )

    def run(self, *metrics: str) -> None:
        """Inventory, samples and metrics."""
        self.inventory()
        self.samples()
        if metrics:
            self.metrics(*metrics)

    def sql(self, query: str) -> list[tuple]:  # type: ignore[type-arg]
        """Rows of a query over the catalogue."""
        with self.resources.warehouse.connect() as con:
            return con.execute(query).fetchall()


@pytest.fixture
def dataset(resources: Resources, source: Path) -> Dataset:
    """The dataset ``d`` over ``source``, in shards of five."""
    return Dataset(resources, source)


@pytest.fixture
def make_dataset(resources: Resources) -> Callable[..., Dataset]:
    """Makes datasets over other folders."""

    def make(source: Path, **fields: object) -> Dataset:
        return Dataset(resources, source, **fields)  # type: ignore[arg-type]

    return make
