"""A small store with the tables of one dataset, and SQL projects to run over it."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from arot_assets.datasets.changes import SCHEMA as INVENTORY_SCHEMA
from arot_assets.datasets.samples import samples_schema
from arot_assets.media.image.medium import IMAGE
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all
from resources.storage import Storage
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse
from tests.subsets.films_store import write_films

REPOSITORY = Path(__file__).parents[2]
SQL_FOLDER = REPOSITORY / "dbt_like_sql"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHARDS = ("00000", "00001")
EVERY_NTH_FAILS = 17

ProjectWriter = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """An empty store."""
    return Tables(store=str(tmp_path / "store"), storage=Storage())


@pytest.fixture
def warehouse(tables: Tables) -> Warehouse:
    """DuckDB over the store."""
    return Warehouse(tables=tables)


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to copy: the datasets ``demo``, ``degraded``, ``films`` and ``clips``."""
    folder = tmp_path_factory.mktemp("demo") / "store"
    tables = Tables(store=str(folder), storage=Storage())
    for seed, dataset in enumerate(("demo", "degraded")):
        write_demo(tables, dataset, seed)
    write_films(tables, NOW)
    return folder


@pytest.fixture(scope="session")
def built_store(demo_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to copy: the dataset ``demo``, and all models of the project that ships."""
    folder = tmp_path_factory.mktemp("built") / "store"
    shutil.copytree(demo_store, folder)
    tables = Tables(store=str(folder), storage=Storage())
    build_all(load_project(SQL_FOLDER), Warehouse(tables=tables), tables)
    return folder


@pytest.fixture
def demo(tables: Tables, demo_store: Path) -> Tables:
    """The store with a dataset ``demo``: 240 objects in two shards, 8 of them no images, 5 exact copies."""
    shutil.copytree(demo_store, tables.root)
    return tables


@pytest.fixture
def built(demo: Tables, built_store: Path) -> Tables:
    """The store of ``demo``, with all models of the project that ships."""
    shutil.copytree(built_store, demo.root, dirs_exist_ok=True)
    return demo


@pytest.fixture
def sql() -> Project:
    """The project that ships."""
    return load_project(SQL_FOLDER)


@pytest.fixture
def write_project(tmp_path: Path) -> ProjectWriter:
    """Writes a small project: relative path -> text. dbt_project.yml and sources.yml have defaults."""

    def write(files: Mapping[str, str]) -> Path:
        folder = tmp_path / "project"
        defaults = {
            "dbt_project.yml": "name: small\nprofile: small\nvars:\n  least: 100\n",
            "models/sources.yml": "sources:\n  - name: demo\n    tables: [{name: samples}, {name: cv2}, {name: wide}]\n",
        }
        for name, text in {**defaults, **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    return write


def write_demo(tables: Tables, dataset: str = "demo", seed: int = 0) -> None:
    """Inventory, samples, cv2, phash and style of a dataset, shaped as the asset graph makes them."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(240):
        content = hashlib.sha256(f"{seed}-{1 if i and i % 40 == 0 else i}".encode()).hexdigest()
        status = "corrupt" if i % 30 == 7 else "duplicate" if i and i % 40 == 0 else "ok"
        words = [str(w) for w in rng.choice(["sky", "Tree", "cat", "red", "old", "sea"], rng.integers(0, 9))]
        rows.append(
            {
                "sample_id": content[:32],
                "sha256": content,
                "uri": f"/pictures/{('photo', 'illustration', 'anime')[i % 3]}/{i:03d}.jpg",
                "status": status,
                "reason": "truncated" if status == "corrupt" else None,
                "duplicate_of": "/pictures/illustration/001.jpg" if status == "duplicate" else None,
                "notes": [],
                "bytes": 1000 + i,
                "width": None if status == "corrupt" else int(rng.integers(64, 2000)),
                "height": None if status == "corrupt" else int(rng.integers(64, 2000)),
                "caption": " ".join(words) or None,
                "tags": words if i % 5 else None,
                "shard": SHARDS[i % 2],
                "ingested_at": NOW,
            }
        )
    inventory = [
        {"uri": r["uri"], "size": r["bytes"], "mtime": NOW, "shard": r["shard"], "state": "present"} for r in rows
    ]
    tables.write(pa.Table.from_pylist(inventory, INVENTORY_SCHEMA), TableRef(dataset, "inventory"))
    for shard in SHARDS:
        here = [r for r in rows if r["shard"] == shard]
        tables.write(pa.Table.from_pylist(here, samples_schema(IMAGE)), TableRef(dataset, "samples", shard))
        ok = [str(r["sample_id"]) for r in here if r["status"] == "ok"]
        for metric, table in _metrics(ok, rng).items():
            tables.write(table, TableRef(dataset, metric, shard))


def _metrics(sample_ids: list[str], rng: np.random.Generator) -> dict[str, pa.Table]:
    n = len(sample_ids)
    failed = np.arange(n) % EVERY_NTH_FAILS == EVERY_NTH_FAILS - 1

    def table(columns: Mapping[str, np.ndarray | list[str]]) -> pa.Table:
        identity = {
            "sample_id": pa.array(sample_ids),
            "status": pa.array(np.where(failed, "failed", "ok")),
            "reason": pa.array(["decoder gave up" if f else None for f in failed], pa.string()),
        }
        return pa.table({**identity, **{k: pa.array(v, mask=failed) for k, v in columns.items()}})

    def spread(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, n).astype(np.float32)

    confidence = spread(0.34, 1)
    hashes = rng.integers(0, 2**63, n // 2 + 1, dtype=np.uint64)[rng.integers(0, n // 2, n)]
    return {
        "cv2": table(
            {
                "edge_density": spread(0, 60),
                "focus_measure": spread(0, 800),
                "noise_level": spread(0, 30),
                "texture_score": spread(0, 12),
                "saturation": spread(0, 90),
                "contrast": spread(5, 90),
                "brightness": spread(10, 250),
                "avg_dynamic_range": spread(0, 255),
                "sharpness": spread(0, 60),
                "colourfulness": spread(0, 100),
                "is_grayscale": rng.random(n) < 0.1,
            }
        ),
        "phash": table({"phash": hashes, "mirrored": hashes[::-1].copy()}),
        "real_or_drawn": table({"p_photo": spread(0.5, 1), "p_anime": spread(0, 0.5)}),
        "open_nsfw": table({"score": spread(0, 0.3)}),
        "faces": table({"faces": [[{"label": "face", "score": 0.9, "area": 0.1}] * (i % 3 == 0) for i in range(n)]}),
        "style": table(
            {
                "label": [str(v) for v in rng.choice(["photo", "illustration", "anime"], n)],
                "confidence": confidence,
                "p_photo": confidence,
                "p_illustration": (1 - confidence) / 2,
                "p_anime": (1 - confidence) / 2,
            }
        ),
        "technical_quality": table({"score": spread(1, 5)}),
    }
