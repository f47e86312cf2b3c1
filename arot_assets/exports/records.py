"""The records of a version as tables: its manifest, buckets, what was left out, and its lineage.

Belongs here: making them from what was written. Does not belong here: where they are kept (``versions.py``).
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from arot_assets.exports.buckets.plan import SCHEMA as BUCKET_SCHEMA
from arot_assets.exports.companions import ROLES
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.media_files import WrittenFile
from arot_assets.exports.provenance import trace
from arot_assets.exports.selection import Selection
from arot_assets.exports.versions import LEFT_OUT_SCHEMA, MANIFEST_SCHEMA
from arot_assets.local_paths import LocalPaths, shown_source
from arot_assets.subsets.project import Project
from resources.defaults import Resources


def manifest_rows(written: Sequence[WrittenFile], paths: LocalPaths) -> pa.Table:
    """The manifest: a row for each sample."""
    rows = [
        (
            w.row["sample_id"],
            w.row["part"],
            w.row["dataset"],
            paths.removed(w.row["uri"]),
            w.path,
            w.row["caption"],
            w.width,
            w.height,
            w.row["frames"] or 1,
            w.bytes,
            w.key,
            w.made,
            list(w.broken),
            *(value for role in ROLES for value in w.companions.get(role, (None, None))),
        )
        for w in written
    ]
    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, MANIFEST_SCHEMA, strict=True)], schema=MANIFEST_SCHEMA
    )


def bucket_rows(selection: Selection, written: Sequence[WrittenFile]) -> pa.Table:
    """A row for each sample and trainer."""
    left = pa.array(sorted({w.row["sample_id"] for w in written}))
    ids = selection.rows["sample_id"]
    mask = pa.compute.is_in(ids, left)
    head = pa.schema([("sample_id", pa.string()), ("trainer", pa.string())])
    schema = pa.schema([*head, *BUCKET_SCHEMA])
    found = [schema.empty_table()]
    for name, bucket_plan in selection.plans.items():
        trainer = pa.array([name] * len(ids), pa.string())
        columns = [ids, trainer, *bucket_plan.columns.columns]
        found.append(pa.table(columns, schema=schema).filter(mask))
    return pa.concat_tables(found)


def left_out_rows(selection: Selection) -> pa.Table:
    """The samples that a rule left out, with what breaks it."""
    rows = [(v.rule, v.subject, selection.paths.removed(v.text)) for v in selection.left_out]
    columns = zip(*rows, strict=True) if rows else ([] for _ in LEFT_OUT_SCHEMA)
    return pa.table([pa.array(c, pa.string()) for c in columns], schema=LEFT_OUT_SCHEMA)


def lineage_of(
    declaration: ExportDeclaration, project: Project, resources: Resources, selection: Selection
) -> dict[str, Any]:
    """What a version was made from: SQL, tables with their versions, models, sources, settings."""
    found: dict[str, Any] = {"settings": declaration.model_dump(mode="json", exclude={"description", "owners"})}
    for part in declaration.parts:
        behind = trace(selection.datasets, project, part, resources.tables)
        found[f"subset {part}"] = {
            "sql": {m.name: selection.paths.removed(m.sql) for m in behind.models},
            "tables": {t.name: {"versions": list(t.versions), "made by": t.made_by} for t in behind.tables},
            "sources": {s.dataset: {"address": shown_source(s.address), "commit": s.commit} for s in behind.sources},
        }
    return found
