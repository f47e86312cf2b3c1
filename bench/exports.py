"""Exports: what planning and recording a million rows costs, and what writing costs beside a plain copy of the same files.

    python bench/exports.py rows [COUNT]     rows, captions, rules and buckets of a subset; its manifest, tables and captions
    python bench/exports.py files [COUNT]    an export of pictures beside `cp -l` and `cp` of the same files

Belongs here: the measurements. Does not belong here: the data of ``rows`` (``scale_lake.py``), the work
(``arot_assets.exports``).
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from arot_assets.exports.build import Outcome, export, plan
from arot_assets.exports.export import ExportDeclaration
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse

SUBSET = """{{{{ config(tags=['subset']) }}}}
select sample_id, caption from {{{{ source('{dataset}', 'samples') }}}} where status = 'ok'
"""
TRAINERS = ("sd-scripts", "simpletuner", "onetrainer")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds of a step by the clock and of the processor, those of other processes that it started included."""

    def busy() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    started, before = time.perf_counter(), busy()
    yield
    print(f"{what}: {time.perf_counter() - started:.1f} s, {busy() - before:.1f} s of CPU", flush=True)


def store(folder: Path) -> Resources:
    """Resources over a store."""
    tables = Tables(store=str(folder / "store"), storage=Storage())
    return Resources(tables.storage, tables, Warehouse(tables=tables), Models(device="cpu"))


def subset(folder: Path, resources: Resources, dataset: str) -> Project:
    """A project with the subset ``chosen``, which is built."""
    (folder / "project" / "models").mkdir(parents=True)
    (folder / "project" / "dbt_project.yml").write_text("name: small\nprofile: small\n")
    (folder / "project" / "models" / "sources.yml").write_text(
        f"sources:\n  - {{name: {dataset}, tables: [{{name: samples}}]}}\n"
    )
    (folder / "project" / "models" / "chosen.sql").write_text(SUBSET.format(dataset=dataset))
    resources.warehouse.refresh()
    build_all(load_project(folder / "project"), resources.warehouse, resources.tables)
    resources.warehouse.refresh()
    return load_project(folder / "project")


def measure_rows(count: int, folder: Path) -> None:
    """Time everything of an export but its media: nearly every size is another, which is the worst case."""
    from scale_lake import DATASET, make_lake

    from arot_assets.exports.layouts.layout import Sample
    from arot_assets.exports.layouts.layouts import LAYOUTS
    from arot_assets.exports.media_files import WrittenFile
    from arot_assets.exports.records import bucket_rows, left_out_rows, lineage_of, manifest_rows
    from arot_assets.exports.versions import Receipt, write_records

    resources = store(folder)
    make_lake(folder / "store", folder / "nowhere", count, ())
    project = subset(folder, resources, DATASET)
    for trainer in TRAINERS:
        given = {"name": "train", "subset": "chosen", "trainers": [trainer], "rules": {"bucket": "skip"}}
        declaration = ExportDeclaration.model_validate(given)
        with timed(f"{count:,} rows: captions, rules and buckets of {trainer}"):
            selection = plan(declaration, project, resources)
    rows = selection.rows.to_pylist()

    def as_written(r: dict[str, Any]) -> WrittenFile:
        sample_id = r["sample_id"]
        return WrittenFile(r, f"images/{sample_id}.jpg", r["width"], r["height"], r["bytes"], sample_id, "original", ())

    written = [as_written(r) for r in rows]
    with timed(f"{len(rows):,} rows: manifest, buckets and lineage"):
        manifest, buckets = manifest_rows(written, selection.paths), bucket_rows(selection, written)
        receipt = Receipt("0" * 16, "", "", len(rows), 0, datetime.now(UTC).isoformat(), 0, {}, ["images"], "image")
        lineage = lineage_of(declaration, project, resources, selection)
        write_records(resources.tables, "train", receipt, manifest, buckets, left_out_rows(selection), lineage)
    samples = [Sample(w.key, "chosen", w.path, w.row["caption"], w.width, w.height, 1, {}) for w in written]
    (folder / "out" / "images").mkdir(parents=True)
    for layout in ("kohya_jsonl", "pairs"):
        with timed(f"{len(rows):,} captions in the layout {layout}"):
            LAYOUTS[layout].write(folder / "out", "/out", {"images": samples}, declaration)


def measure_files(count: int, folder: Path) -> None:
    """Time exports of pictures that need no change, and copies of the same files, one after the other."""
    import simplejpeg

    from arot_assets.datasets.inventory import take_inventory
    from arot_assets.datasets.samples import build_samples
    from arot_assets.declarations import ImageDataset

    source = folder / "source"
    source.mkdir()
    random = np.random.default_rng(0)
    for n in range(count):
        picture = random.integers(0, 255, (32, 32, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        (source / f"{n:06}.jpg").write_bytes(simplejpeg.encode_jpeg(picture, quality=95))
        (source / f"{n:06}.txt").write_text(f"picture {n}")
    resources = store(folder)
    declared = ImageDataset.model_validate({"name": "many", "source": str(source), "settle_seconds": 0})
    take_inventory(resources.storage, resources.tables, declared, datetime.now(UTC))
    for shard in sorted(set(resources.tables.read(TableRef("many", "inventory"))["shard"].to_pylist())):
        build_samples(resources.storage, resources.tables, declared, shard)
    project = subset(folder, resources, "many")

    def run(name: str, **fields: Any) -> Outcome:
        given = {"name": name, "subset": "chosen", "trainers": ["sd-scripts"], "resolution": 512}
        return export(ExportDeclaration.model_validate(given | fields), project, resources)

    megabytes = sum(p.stat().st_size for p in source.iterdir()) / 1e6
    print(f"{count:,} pictures with captions, {megabytes:,.0f} MB")
    for files, flag in (("link", "-rl"), ("copy", "-r")):
        with timed(f"cp {flag}"):
            subprocess.run(["cp", flag, str(source), str(folder / f"cp-{files}")], check=True)
        with timed(f"arot export, files: {files}"):
            done = run(files, files=files)
        assert done.seen is not None and done.seen.found == count
    with timed("arot export again, nothing changed"):
        assert not run("copy", files="copy").changed
    with timed("arot export again, other captions only"):
        changed = SUBSET.format(dataset="many").replace(" caption ", " 'a ' || caption as caption ")
        (folder / "project" / "models" / "chosen.sql").write_text(changed)
        project = load_project(folder / "project")
        build_all(project, resources.warehouse, resources.tables)
        assert run("copy", files="copy").changed


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    measure, default = {"rows": (measure_rows, 1_000_000), "files": (measure_files, 5_000)}[what]
    with tempfile.TemporaryDirectory(prefix="arot-bench-") as place:
        measure(int(rest[0]) if rest else default, Path(place))
