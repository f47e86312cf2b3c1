"""Holding a model to what its graph can see: no table written out by name, no file that cannot be told from the text.

Belongs here: that rule. Does not belong here: finding what a query reads (``resources.warehouse.reads``), what a change of a
file means (``digest.py``).

A table written out by name is refused when the model is built: the graph would not know that the model depends on it, and real
dbt finds no such table.
"""

from collections.abc import Iterator

from arot_assets.errors import ProjectError
from arot_assets.subsets.model import Model
from arot_assets.subsets.project import MODELS_SCHEMA, Project
from resources.warehouse import Connection
from resources.warehouse.reads import find_reads

SYSTEM = ("information_schema", "pg_catalog")


def check_reads(con: Connection, project: Project, model: Model, sql: str) -> None:
    """Refuse a model that reads what its digest cannot see.

    Raises:
        ProjectError: a table without ``ref()`` or ``source()``, or a function that hides what it reads.
    """
    reads = find_reads(con, sql)
    if reads.hidden:
        raise ProjectError(
            f"model '{model.name}' calls {reads.hidden[0]}(…) with something else than constant paths, so that nobody can tell "
            "what it depends on; write the paths as text, or put a reader beside a PIVOT into a model of its own",
            model.path,
        )
    known = {(schema.lower(), table.lower()) for schema, table in _named(project, model)}
    for schema, table in sorted(reads.tables):
        place = (schema.lower() or MODELS_SCHEMA, table.lower())
        if place in known or schema.lower() in SYSTEM or table.lower().startswith(("duckdb_", "pragma_")):
            continue
        written = f"{schema}.{table}" if schema else table
        if place[0] == MODELS_SCHEMA and table in project.models:
            remedy = f"write {{{{ ref('{table}') }}}}"
        else:
            remedy = f"write {{{{ source('{schema or table}', '{table}') }}}}, and declare it in a schema .yml"
        raise ProjectError(
            f"model '{model.name}' reads {written} by name, so that nothing rebuilds it when that changes; {remedy}",
            model.path,
        )


def _named(project: Project, model: Model) -> Iterator[tuple[str, str]]:
    """(schema, table) of everything that a model's ref() and source() stand for, through ephemeral models."""
    for ref in model.refs:
        if project.models[ref].is_stored:
            yield MODELS_SCHEMA, ref
        else:
            yield from _named(project, project.models[ref])
    for key in model.sources:
        found = project.source(*key)
        yield found.schema, found.identifier
