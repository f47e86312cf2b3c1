"""A project of its own in a temporary folder, driven as a user drives it: by commands, in processes of their own."""

import fcntl
import functools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from arot_assets.project import init_project
from resources.compute import Compute, compute_of
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.conftest import EXAMPLES, REPOSITORY
from tests.prepared import python
from tests.waiting import finish

COPIED = ("arot_assets", "resources", "sensors", "dbt_like_sql")


@functools.cache
def compile_kernels() -> None:
    """Compile what the metrics of images call, unless that has been done; other processes wait for it.

    It takes 20 s of a core in a fresh checkout, and several projects are made there at once.
    """
    from arot_assets.metrics import kernels

    with open(kernels.__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kernels.warm_up(*kernels.KERNELS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Compute]:
    """Three nodes of one core each on this machine, joined by their address; the end of the module stops them."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    for _ in range(2):
        made.add_node(**node)
    yield compute_of("ray", made.address)
    import ray

    ray.shutdown()
    made.shutdown()


class Project:
    """A project of its own in a temporary folder.

    Attributes:
        root: where it is.
        source: a folder for images, declared as dataset ``demo`` in shards of 40.
    """

    def __init__(self, root: Path) -> None:
        compile_kernels()
        self.root = root
        self.source = root / "examples" / "images"
        self.lay_out()
        self.source.mkdir(parents=True)
        self.declare_dataset("demo", metrics=["cv2", "phash", "embedding"], source="examples/images")

    @property
    def packages(self) -> Path:
        """Where the packages are imported from."""
        return REPOSITORY

    @property
    def defs(self) -> Path:
        """The folder of declarations."""
        return self.root / "defs"

    def lay_out(self) -> None:
        """What `arot init` writes, with the classifier `style` and the SQL of the repository."""
        init_project(self.root)
        style = Path("classifiers") / "style"
        shutil.copytree(REPOSITORY / "arot_assets" / "defs" / style, self.defs / style)
        shutil.copytree(
            REPOSITORY / "dbt_like_sql",
            self.root / "dbt_like_sql",
            ignore=shutil.ignore_patterns("target", "logs"),
            dirs_exist_ok=True,
        )

    def declare_dataset(self, name: str, **attributes: Any) -> Path:
        """Write a dataset's defs.yaml."""
        import yaml

        fields = {"name": name, "source": str(self.source), "shard_size": 40, "settle_seconds": 0.2, **attributes}
        path = self.defs / "datasets" / name / "defs.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"type": "arot_assets.components.ImageDataset", "attributes": fields}))
        return path

    def add_examples(self, per_class: int, skip: int = 0) -> list[Path]:
        """Copy some example images with their sidecars: so many photos, illustrations and anime images."""
        added = []
        for style in ("photo", "illustration", "anime"):
            files = sorted((EXAMPLES / style).rglob("*"))
            pictures = [p for p in files if p.suffix in (".jpg", ".png", ".webp")]
            # spread over the folders, so that classes are varied
            for picture in pictures[skip :: max(1, len(pictures) // per_class)][:per_class]:
                for file in picture.parent.glob(f"{picture.stem}.*"):
                    target = self.source / file.relative_to(EXAMPLES)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)
                added.append(self.source / picture.relative_to(EXAMPLES))
        return added

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a command in this project."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AROT_", "DAGSTER_"))}
        return {**kept, "PYTHONPATH": str(self.packages), "COLUMNS": "160", **more}

    def start(self, *arguments: str, **more: str) -> python.Forked:
        """Start ``arot …``."""
        return python.start(["-m", "arot_assets.cli", *arguments], self.root, self.environment(**more))

    def arot(self, *arguments: str, status: int = 0, **more: str) -> str:
        """Run ``arot …`` to its end; returns what it printed, and fails on another exit status."""
        process = self.start(*arguments, **more)
        output = finish(process)
        assert process.returncode == status, f"arot {' '.join(arguments)}: exit status {process.returncode}\n{output}"
        return output

    @property
    def resources(self) -> Resources:
        """Resources over this project's store."""
        storage = Storage()
        tables = Tables(store=str(self.root / ".arot" / "store"), storage=storage)
        return Resources(storage, tables, Warehouse(tables=tables), Models(device="cpu"))

    def sql(self, query: str) -> list[Any]:
        """Rows of a query over this project's catalogue."""
        with self.resources.warehouse.connect() as con:
            return con.execute(query).fetchall()

    def contents(self, tables: Sequence[str]) -> Mapping[str, list[Any]]:
        """Every row of some tables of ``demo``, without the columns that hold the time of work."""
        return {
            table: self.sql(
                f"select columns(c -> c not in ('computed_at', 'ingested_at', 'first_seen', 'last_seen', 'uri', 'sidecars', "
                f"'duplicate_of', 'mtime', 'sidecar_mtime')) from demo.{table} order by all"
            )
            for table in tables
        }


class Checkout(Project):
    """A copy of the repository, for what a person does who edits it."""

    @property
    def packages(self) -> Path:
        """The copy's own."""
        return self.root

    @property
    def defs(self) -> Path:
        """Where the repository has its declarations."""
        return self.root / "arot_assets" / "defs"

    def lay_out(self) -> None:
        """The source tree, without its datasets."""
        for folder in COPIED:
            # numba's compiled kernels lie in __pycache__ and stay valid when times are kept
            shutil.copytree(REPOSITORY / folder, self.root / folder, ignore=shutil.ignore_patterns("target", "logs"))
        for file in ("pyproject.toml", "dagster.yaml"):
            shutil.copy2(REPOSITORY / file, self.root / file)
        shutil.rmtree(self.defs / "datasets")


@pytest.fixture
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """Makes projects, each in a folder of its own."""
    return lambda: Project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(make_project: Callable[[], Project]) -> Project:
    """One project."""
    return make_project()
