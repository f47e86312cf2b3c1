"""Checking that a model reads only what its graph can see: no table by its literal name, no file that the text does not
name.

Belongs here: that rule. Does not belong here: finding what a query reads (``resources.warehouse.reads``), the
consequences of a changed file (``digest.py``).

A table written by its literal name is rejected when the model is built: the graph would not know that the model depends
on it, and real dbt finds no such table.
"""

from collections.abc import Iterator

from arot_assets.errors import ProjectError
from arot_assets.subsets.model import Model
from arot_assets.subsets.project import MODELS_SCHEMA, Project
from resources.warehouse import Connection
from resources.warehouse.reads import find_reads

SYSTEM = ("information_schema", "pg_catalog")


def check_reads(con: Connection, project: Project, model: Model, sql: str) -> None:
    """Reject a model that reads something its digest cannot see.

    Raises:
        ProjectError: a table without ``ref()`` or ``source()``, or a function that hides what it reads.
    """
    reads = find_reads(con, sql)
    if reads.hidden:
        raise ProjectError(
            f"model '{model.name}' calls {reads.hidden[0]}(…) with arguments that are not constant paths, so it is not known "
            "what it depends on; write the paths as text, or, if the query has a PIVOT, move the reading into a separate model",
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
            f"model '{model.name}' reads {written} by its literal name, so it would not be rebuilt when that changes; {remedy}",
            model.path,
        )


def _named(project: Project, model: Model) -> Iterator[tuple[str, str]]:
    """(schema, table) of everything that a model's ref() and source() refer to, including through ephemeral models."""
    for ref in model.refs:
        if project.models[ref].is_stored:
            yield MODELS_SCHEMA, ref
        else:
            yield from _named(project, project.models[ref])
    for key in model.sources:
        found = project.source(*key)
        yield found.schema, found.identifier
