"""Versions of a subset: which samples it had before it was built anew, and what differs between two of them.

Belongs here: keeping the samples of a table that is replaced, naming versions, comparing them. Does not belong here: versions of
exports (``exports/versions.py``), one sample's path through a subset (``explain.py``).

``models/versions/<name>/<moment>-<digest>.parquet`` has the ``sample_id`` of each row of a table that was replaced then; its SQL
is in the footer. The current version is the model's own table.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from arot_assets.errors import ProjectError
from arot_assets.subsets.digest import DIGEST
from arot_assets.subsets.model import Model
from arot_assets.subsets.predicates import SubsetClauses, split
from arot_assets.subsets.project import Project
from arot_assets.subsets.waterfall import flags, verdict_columns
from resources.tables import ModelRef, StoreFile, Tables
from resources.tables.refs import MODELS, SUFFIX
from resources.warehouse import Connection

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = f"{MODELS}/versions"
KEPT = 5
"""Versions of a subset that are kept besides the current one."""
SAMPLE, SQL, RESULT = "sample_id", "sql", "result"
CURRENT, PREVIOUS, NOW = "current", "previous", "now"


@dataclass(frozen=True)
class SubsetVersion:
    """One version of a subset.

    Attributes:
        name: 12 digits of what it was built from; ``now`` for what the current SQL selects from the current tables.
        ids: of its samples.
        sql: what selected them.
    """

    name: str
    ids: frozenset[str]
    sql: str


@dataclass(frozen=True)
class SubsetDifference:
    """What differs between two versions.

    Attributes:
        added, removed: the samples that only the later or only the earlier one has, sorted.
        kept: number of samples that both have.
        why_added: predicate of the earlier SQL -> the added samples that it, as the first, does not let in now.
        why_removed: predicate of the later SQL -> the removed samples that it, as the first, does not let in now.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    kept: int
    why_added: dict[str, int]
    why_removed: dict[str, int]


def keep_version(tables: Tables, model: Model) -> None:
    """Keep the samples of a subset's table that is about to be replaced; the oldest beyond ``KEPT`` is removed.

    Raises:
        StorageError: the store cannot be written.
    """
    ref = ModelRef(model.name)
    footer = tables.footer_if_any(ref) if model.is_subset else None
    if footer is None or DIGEST not in footer or RESULT not in footer:
        return
    result, digest = json.loads(footer[RESULT]), footer[DIGEST][:12]
    if SAMPLE not in [column["name"] for column in result["columns"]]:
        return
    if digest not in [_digest(one) for one in _stored(tables, model.name)[-1:]]:  # else the build after it failed
        moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        ids = tables.read(ref, columns=[SAMPLE])
        tables.write(ids, _file(model.name, f"{moment}-{digest}"), {SQL: result["sql"]})
    for old in _stored(tables, model.name)[:-KEPT]:
        tables.storage.delete(tables.uri(_file(model.name, old)))


def find_version(tables: Tables, project: Project, name: str, said: str, con: Connection) -> SubsetVersion:
    """A version of a subset.

    Args:
        tables: the store.
        project: the SQL project.
        name: a model that is stored and has the column ``sample_id``.
        said: its first digits, ``current``, ``previous``, or ``now``.
        con: a connection with the views that the model reads.

    Raises:
        ProjectError: there is no such version, or several.
    """
    model, stored = project.model(name), _stored(tables, name)
    sql = project.compile(name)
    if said == NOW:
        return SubsetVersion(NOW, _ids(con.sql(f'select "{SAMPLE}" from (\n{sql}\n)').to_arrow_table()), sql)
    footer = tables.footer_if_any(ModelRef(name))
    current = footer[DIGEST][:12] if footer and DIGEST in footer else ""
    if footer and current and (said == CURRENT or current.startswith(said)):
        return SubsetVersion(
            current, _ids(tables.read(ModelRef(name), columns=[SAMPLE])), json.loads(footer[RESULT])["sql"]
        )
    found = stored[-1:] if said == PREVIOUS else [one for one in stored if _digest(one).startswith(said)][-1:]
    if not found:
        known = ", ".join([*map(_digest, stored), *([current] if current else [])]) or "none: it was not built yet"
        raise ProjectError(f"model '{name}' has no version '{said}'; there are {known}, and `{NOW}`", model.path)
    place = _file(name, found[0])
    return SubsetVersion(_digest(found[0]), _ids(tables.read(place)), tables.footer(place).get(SQL, ""))


def compare(project: Project, name: str, old: SubsetVersion, new: SubsetVersion, con: Connection) -> SubsetDifference:
    """What differs between two versions of a subset, and which predicate makes the difference, judged by the tables of now."""
    added, removed = tuple(sorted(new.ids - old.ids)), tuple(sorted(old.ids - new.ids))
    model = project.model(name)
    return SubsetDifference(
        added,
        removed,
        len(old.ids & new.ids),
        _dropped(old.sql, model, added, con),
        _dropped(new.sql, model, removed, con),
    )


def versioned(tables: Tables) -> list[tuple[str, str]]:
    """Every model with versions, and the URI of their folder."""
    return [(name, tables.uri(StoreFile(f"{FOLDER}/{name}"))) for name in tables.list(FOLDER)]


def _dropped(sql: str, model: Model, ids: tuple[str, ...], con: Connection) -> dict[str, int]:
    """Predicate -> samples that it is the first not to let in; a text for those that something else keeps out."""
    import duckdb

    if not ids or not sql:
        return {}
    try:
        selection = split(sql, model)
        first = _first_to_drop(selection, con)
        rows = con.execute(
            f'select "{SAMPLE}", max(dropped) from (\n{first}\n) where "{SAMPLE}" in (select unnest(?)) group by 1',
            [list(ids)],
        ).fetchall()
    except (ProjectError, duckdb.Error) as error:
        return {f"not known, the SQL does not run on the tables of now ({str(error).partition(chr(10))[0]})": len(ids)}
    counts: Counter[str] = Counter()
    for _, place in rows:
        inside = place == len(selection.predicates)
        counts["a table that changed since, or what follows WHERE" if inside else _said(selection, place)] += 1
    if len(rows) < len(ids):
        counts["its tables have no row of it"] = len(ids) - len(rows)
    return dict(counts.most_common())


def _first_to_drop(selection: SubsetClauses, con: Connection) -> str:
    """A query: the model's rows, and in ``dropped`` the place of the first predicate that does not let each in."""
    verdicts = [f"({' and '.join(names.values())})" for names in flags(con, selection)]
    cases = " ".join(f"when not {verdict} then {place}" for place, verdict in enumerate(verdicts))
    dropped = f"case {cases} else {len(verdicts)} end" if cases else "0"
    return f"select *, {dropped} as dropped from (\n{selection.probe(verdict_columns(selection))}\n)"


def _said(selection: SubsetClauses, place: int) -> str:
    predicate = selection.predicates[place]
    return " ".join(predicate.text.split()) + (f"  ({predicate.label})" if predicate.label else "")


def _ids(table: "pa.Table") -> frozenset[str]:
    return frozenset(table[SAMPLE].to_pylist())


def _file(name: str, version: str) -> StoreFile:
    return StoreFile(f"{FOLDER}/{name}/{version}{SUFFIX}")


def _stored(tables: Tables, name: str) -> list[str]:
    """Names of the files, the oldest first."""
    files: Iterable[str] = tables.list(f"{FOLDER}/{name}")
    return sorted(file.removesuffix(SUFFIX) for file in files if file.endswith(SUFFIX))


def _digest(version: str) -> str:
    return version.rpartition("-")[2]
