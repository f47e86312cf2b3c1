"""Building SQL models: compile, count, write one Parquet file, record what it was built from.

Belongs here: building one model or all stale ones, and the result of a build (``ModelResult``). Does not belong here:
Dagster (``assets.py``), tests of the result (``tests.py``).

The result of a build is kept in the file's footer, so a current model can show its waterfall and lineage without being
built again.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from arot_assets.errors import ProjectError
from arot_assets.subsets.describe import ModelColumn, ModelResult, describe_model
from arot_assets.subsets.digest import DIGEST, current_digest, stored_digest
from arot_assets.subsets.lineage import UpstreamColumn
from arot_assets.subsets.model import Model
from arot_assets.subsets.project import Project
from arot_assets.subsets.reads import check_reads
from arot_assets.subsets.syntax import sql_error
from arot_assets.subsets.versions import keep_version
from arot_assets.subsets.waterfall import Waterfall
from resources.tables import ModelRef, Tables, TablesError
from resources.warehouse import Connection, Warehouse
from resources.warehouse.reads import FILES, files_mark, read_from

RESULT = "result"


def build_model(project: Project, name: str, warehouse: Warehouse, tables: Tables, force: bool = False) -> ModelResult:
    """Build one model unless it is current, and refresh the catalogue.

    Args:
        project: the SQL project.
        name: a stored model; the models that it refers to must have been built.
        warehouse: DuckDB over the store.
        tables: the store; the model becomes ``models/<name>.parquet``.
        force: build it even if it is current.

    Raises:
        ProjectError: no such model, a missing input, or SQL that does not run; the old file remains.
        StorageError: the store cannot be written; the old file remains.
    """
    with warehouse.connect(project.compile(name)) as con:
        result = _build(project, name, con, tables, force)
    if result.built:
        warehouse.refresh()
    return result


def build_all(
    project: Project,
    warehouse: Warehouse,
    tables: Tables,
    names: Sequence[str] | None = None,
    force: bool = False,
    on_model: Callable[[ModelResult], None] | None = None,
) -> list[ModelResult]:
    """Build every model that is not current, upstream first.

    Args:
        project: the SQL project.
        warehouse: DuckDB over the store.
        tables: the store.
        names: these models and all that they refer to; None for all.
        force: also build current ones.
        on_model: called after each model, for progress.

    Raises:
        ProjectError, StorageError: see ``build_model``; models before the failing one are kept.
    """
    wanted = _with_upstream(project, names) if names is not None else set(project.models)
    results: list[ModelResult] = []
    with warehouse.connect("\n".join(project.compile(n) for n in wanted)) as con:
        try:
            for model in project.models.values():
                if model.name in wanted and model.is_stored:
                    results.append(_build(project, model.name, con, tables, force))
                    if on_model is not None:
                        on_model(results[-1])
        finally:
            if any(r.built for r in results):
                warehouse.refresh()
    return results


def stale_models(project: Project, tables: Tables, warehouse: Warehouse) -> list[str]:
    """Models that a build would write now, upstream first: those not current, and those downstream of them.

    A model that waits for a table that does not exist yet is left out; ``waiting_models`` lists it.
    """
    with warehouse.connect() as con:
        waiting = waiting_in(project, con)
        stale: list[str] = []
        for name, model in project.models.items():
            if not model.is_stored or name in waiting:
                continue
            refs, _ = project.inputs(name)
            if set(refs) & set(stale) or not model_is_current(project, name, tables, con):
                stale.append(name)
    return stale


def waiting_models(project: Project, warehouse: Warehouse) -> dict[str, list[str]]:
    """Models that cannot be built yet, with the tables (``schema.table``) that they wait for."""
    with warehouse.connect() as con:
        return waiting_in(project, con)


def waiting_in(project: Project, con: Connection) -> dict[str, list[str]]:
    """The same, for a connection with the views of the catalogue."""

    def there(schema: str, name: str) -> bool:
        return con.has(schema, name) or f"{schema}.{name}" in con.faults  # a build says what is wrong with it

    waiting: dict[str, list[str]] = {}
    for name, model in project.models.items():
        read = [s for s in (project.source(*k) for k in model.sources) if s.location is None]
        missing = [f"{s.schema}.{s.identifier}" for s in read if not there(s.schema, s.identifier)]
        for ref in model.refs:
            missing += waiting.get(ref, [])
        if missing:
            waiting[name] = list(dict.fromkeys(missing))
    return waiting


def model_is_current(project: Project, name: str, tables: Tables, con: Connection) -> bool:
    """Whether a stored model was built from its current text and tables; reads no rows.

    Args:
        project: the SQL project.
        name: a stored model that waits for nothing.
        tables: the store.
        con: a connection with the views of the catalogue.
    """
    return stored_digest(tables, name) == current_digest(project, name, tables, con)


def load_result(project: Project, name: str, tables: Tables) -> ModelResult | None:
    """The result of the last build of a model; None if it was never built. Reads no rows."""
    model = project.model(name)
    footer = tables.footer_if_any(ModelRef(model.name))
    if footer is None or RESULT not in footer:
        return None
    values: dict[str, Any] = json.loads(footer[RESULT])
    return ModelResult(
        name=name,
        built=False,
        rows=tables.num_rows(ModelRef(name)),
        columns=tuple(
            ModelColumn(
                c["name"],
                c["type"],
                c["description"],
                None if c["upstream"] is None else tuple(UpstreamColumn(**u) for u in c["upstream"]),
            )
            for c in values["columns"]
        ),
        waterfall=Waterfall.from_dict(values["waterfall"]) if values["waterfall"] else None,
        lineage_problem=values["lineage_problem"],
        sql=values["sql"],
        digest=footer[DIGEST],
        seconds=values["seconds"],
        waterfall_problem=values.get("waterfall_problem"),
    )


def _build(project: Project, name: str, con: Connection, tables: Tables, force: bool) -> ModelResult:
    model = project.model(name)
    if not model.is_stored:
        raise ProjectError(f"model '{name}' is ephemeral: it is part of the models that ref it", model.path)
    with tables.leases.wait_for([ModelRef(name)]):
        return _build_alone(project, model, con, tables, force)


def _build_alone(project: Project, model: Model, con: Connection, tables: Tables, force: bool) -> ModelResult:
    """Build a model whose table is reserved for this process."""
    name = model.name
    digest = current_digest(project, name, tables, con)
    files = files_mark(tables, project.folder, project.compile(name))
    if not force and stored_digest(tables, name) == digest:
        current = load_result(project, name, tables)
        if current is not None:
            return current
    started = time.perf_counter()
    read_from(con, project.folder)
    check_reads(con, project, model, project.compile(name))
    result = replace(describe_model(project, name, con), built=True, digest=digest)
    kept = {
        "columns": [asdict(c) for c in result.columns],
        "waterfall": result.waterfall.to_dict() if result.waterfall else None,
        "waterfall_problem": result.waterfall_problem,
        "lineage_problem": result.lineage_problem,
        "sql": result.sql,
        "seconds": round(time.perf_counter() - started, 3),
    }
    import duckdb

    keep_version(tables, model)
    try:
        rows = con.repeated(
            lambda raw: tables.write_query(
                raw,
                result.sql,
                ModelRef(name),
                footer={DIGEST: digest, RESULT: json.dumps(kept), **({FILES: files} if files else {})},
                descriptions={c.name: c.description for c in result.columns if c.description},
            ),
            result.sql,
        )
    except duckdb.Error as error:
        raise sql_error(model, error, result.sql) from error
    except TablesError as error:
        raise ProjectError(f"model '{name}': {error}", model.path) from error
    _show(con, tables, name)
    return replace(result, rows=rows, seconds=time.perf_counter() - started)


def _with_upstream(project: Project, names: Sequence[str]) -> set[str]:
    wanted: set[str] = set()
    queue = [project.model(n).name for n in names]
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted.add(name)
            queue += project.models[name].refs
    return wanted


def _show(con: Connection, tables: Tables, name: str) -> None:
    """Add the view of a model that was just written to a connection, for the models after it."""
    from resources.warehouse.views import model_views

    for view in model_views(tables):
        if view.name == name:
            for statement in view.statements():
                con.execute(statement)
