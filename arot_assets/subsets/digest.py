"""When a stored model is current: a digest of its SQL and of everything that it reads.

Belongs here: the digest. Does not belong here: what to do about a stale model (``runner.py``).

A dataset's table is identified by the names, sizes and times of its files, so no rows are read; an upstream model by
the digest in its own footer; a file that the SQL reads by its size and time. Objects that disappeared from the source
are hidden by the dataset's views without any sample file being changed, so the set of them counts too.
"""

import hashlib
import json
from typing import Any

from arot_assets.subsets.data_test import DataTest
from arot_assets.subsets.dialect import TEST_PREFIX
from arot_assets.subsets.project import Project
from arot_assets.subsets.render import read_template
from resources.beside import TEMPORARY_PREFIX
from resources.tables import INVENTORY, ModelRef, TableRef, Tables
from resources.warehouse import Connection
from resources.warehouse.reads import FILES, file_marks, files_mark, find_reads

DIGEST = "digest"
FORMAT = "3"
"""Change this when what is stored for a model changes: every model is then built again."""


def stored_digest(tables: Tables, name: str) -> str | None:
    """The digest in a stored model's footer, None if it was never built or its file is damaged."""
    place = ModelRef(name)
    return tables.footer(place).get(DIGEST) if tables.is_readable(place) else None


def current_digest(project: Project, name: str, tables: Tables, con: Connection) -> str:
    """The digest (32 hex digits) of the model if it were built now.

    Args:
        project: the SQL project.
        name: a stored model.
        tables: the store.
        con: a connection with the views of the catalogue.
    """
    refs, sources = project.inputs(name)
    read = [project.source(*s) for s in sources]
    sql = project.compile(name)
    parts = [
        FORMAT,
        _text(project, name, sql),
        file_marks(tables, project.folder, find_reads(con, sql).files),
        [[r, stored_digest(tables, r)] for r in refs],
        [[s.schema, s.identifier, _files(tables, s.schema, s.identifier)] for s in read],
        [[schema, _hidden(con, schema)] for schema in sorted({s.schema for s in read})],
    ]
    return _hash(parts)[:32]


def outdated_by_files(project: Project, tables: Tables) -> dict[str, str]:
    """Built models that read a file which has changed, with the files' mark; the graph does not show such changes."""
    found: dict[str, str] = {}
    for name, model in project.models.items():
        place = ModelRef(name)
        mark = files_mark(tables, project.folder, project.compile(name)) if model.is_stored else None
        if mark is not None and tables.is_readable(place) and tables.footer(place).get(FILES) != mark:
            found[name] = mark
    return found


def model_version(project: Project, name: str) -> str:
    """12 hex digits that change with a model's SQL, description, tags and tests. Used as Dagster's code version."""
    tests = [_test_text(project, t) for t in project.tests if t.target == name]
    return _hash([_text(project, name, project.compile(name)), tests])[:12]


def test_version(project: Project, test: DataTest, tables: Tables) -> str:
    """12 hex digits that change when a test of a model, or the model, changes."""
    built = stored_digest(tables, test.target) if isinstance(test.target, str) else None
    return _hash([_test_text(project, test), built])[:12]


def _text(project: Project, name: str, sql: str) -> list[Any]:
    model = project.model(name)
    columns = sorted((c.name, c.description) for c in model.docs.columns.values())
    return [sql, sorted(model.config.tags), model.description, columns]


def _test_text(project: Project, test: DataTest) -> list[str]:
    """What a test does: its declaration, and the text of the file that defines it."""
    macro = project.templates.macros.get(TEST_PREFIX + test.test)
    defined = macro if macro is not None else None if test.test else test.path
    variables = json.dumps(dict(project.vars), sort_keys=True, default=str)
    said = [test.test, test.name, test.column_sql, dict(test.arguments), test.config]
    return [str(said), variables, read_template(defined) if defined is not None else ""]


def _hash(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _files(tables: Tables, dataset: str, table: str) -> list[tuple[str, ...] | tuple[str, int, float]]:
    """Path, size in bytes and time of each file of a table; empty if the table does not exist yet.

    An inventory is written each time the source is checked, if only for ``last_seen``; it is identified by the time of
    its last change.
    """
    ref = TableRef(dataset, table)
    if table == INVENTORY:
        changed = (tables.footer_if_any(ref) or {}).get("changed_at")
        if changed is not None:
            return [(tables.uri(ref), changed)]
    uri = tables.uri(ref) if tables.exists(ref) else tables.folder(ref)
    if not tables.storage.exists(uri):
        return []
    found = tables.storage.ls(uri, exts=(".parquet",))
    return sorted((o.uri, o.size, o.mtime) for o in found if f"/{TEMPORARY_PREFIX}" not in o.uri)


def _hidden(con: Connection, dataset: str) -> list[int]:
    """The number of objects that disappeared from a dataset's source, and a hash of them; empty without an
    inventory."""
    if not con.has(dataset, INVENTORY):
        return []
    row = con.execute(
        f"""select count(*), bit_xor(hash(uri, shard)) from "{dataset}".inventory where state <> 'present'"""
    ).fetchone()
    return [int(v or 0) for v in row or ()]
