"""Taking samples out of the records of earlier runs: previews that may show them, and what names them.

Belongs here: Dagster's events, and the output of its runs. Does not belong here: the store (``arot_assets.takedown``).

Which samples a contact sheet shows is not told beside it, so every picture of an asset that may show one goes. Events stay, with
their figures; a picture comes back when its asset is made again.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arot_assets.takedown import NamesMeant

if TYPE_CHECKING:
    import dagster as dg

PICTURE = "data:image/"
GONE = "(taken down)"
TEXTS = {"event_logs": "event", "asset_keys": "last_materialization", "asset_check_executions": "evaluation_event"}
"""Tables of Dagster's event storage, and the column of each that holds an event."""
ROWS = 200
"""Events that are read at a time."""
OUTPUT = ("*.out", "*.err")


def clean_history(
    instance: "dg.DagsterInstance", meant: NamesMeant, shows: Callable[[str], bool], advance: Callable[[int], None]
) -> int:
    """Take samples out of all events and outputs of earlier runs; gives how many of them were changed.

    Args:
        instance: whose records.
        meant: the samples.
        shows: asset key (JSON; empty where an event has none) -> whether its pictures may show them.
        advance: told how many databases are done.
    """
    cleaner = _Cleaner(meant, shows)
    changed = 0
    for connect in _databases(instance):
        with connect() as con:
            if is_file := con.dialect.name == "sqlite":
                con.exec_driver_sql("pragma secure_delete = on")  # what is replaced is overwritten with zeros
            file = con.engine.url.database
            found = sum(_clean_table(con, table, column, cleaner) for table, column in TEXTS.items())
        if found and is_file:
            with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as own:  # open elsewhere: it is emptied later
                own.execute("pragma wal_checkpoint(truncate)")
        changed += found
        advance(1)
    return changed + _clean_output(Path(instance.storage_directory()), cleaner)


def pictures_of(datasets: Collection[str], others: Collection[str]) -> Callable[[str], bool]:
    """Which assets may show samples: those of some datasets, and those of no dataset, such as exports and classifiers.

    Args:
        datasets: that have, or had, the samples.
        others: the other ones.
    """

    def shows(key: str) -> bool:
        try:
            first = str(json.loads(key)[0])
        except (ValueError, IndexError, TypeError):
            return True
        return first in datasets or first not in others

    return shows


def count_databases(instance: "dg.DagsterInstance") -> int:
    """How many databases the events are in."""
    return len(list(_databases(instance)))


def _databases(instance: "dg.DagsterInstance") -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """Opens each database with events: one in all, or one for each run as SQLite has it, and one for all assets."""
    storage: Any = instance.event_log_storage
    if hasattr(storage, "get_all_run_ids"):
        for run in storage.get_all_run_ids():
            yield partial(storage.run_connection, run)
    yield storage.index_connection


def _clean_table(con: Any, table: str, column: str, cleaner: "_Cleaner") -> int:
    dialect = con.dialect
    columns = {one["name"] for one in dialect.get_columns(con, table)} if dialect.has_table(con, table) else set()
    if column not in columns:
        return 0
    key, value = "asset_key" if "asset_key" in columns else "''", "?" if dialect.paramstyle == "qmark" else "%s"
    last, changed = -1, 0
    ask = f"select id, {column}, {key} from {table} where id > {value} order by id limit {ROWS}"
    while rows := con.exec_driver_sql(ask, (last,)).fetchall():
        for number, said, asset in rows:
            cleaned = cleaner.event(said or "", asset or "")
            if cleaned != (said or ""):
                con.exec_driver_sql(f"update {table} set {column} = {value} where id = {value}", (cleaned, number))
                changed += 1
        last = rows[-1][0]
    return changed


def _clean_output(folder: Path, cleaner: "_Cleaner") -> int:
    changed = 0
    for path in (path for kind in OUTPUT for path in folder.rglob(kind)):
        said = path.read_text(errors="surrogateescape")
        cleaned = cleaner.text(said)
        if cleaned != said:
            path.write_text(cleaned, errors="surrogateescape")
            changed += 1
    return changed


class _Cleaner:
    """Texts without the samples."""

    def __init__(self, meant: NamesMeant, shows: Callable[[str], bool]) -> None:
        self._meant, self._shows = meant, shows
        addresses = sorted(meant.addresses, key=lambda one: (-len(one), one))
        self._addresses = re.compile("|".join(map(re.escape, addresses)) or r"(?!)")
        escaped = {json.dumps(one)[1:-1] for one in addresses}
        self._in_json = re.compile("|".join(map(re.escape, sorted(escaped))) or r"(?!)")

    def text(self, said: str) -> str:
        """A text without the names."""
        return self._addresses.sub(GONE, self._meant.out_of(said))

    def event(self, said: str, asset: str) -> str:
        """An event (JSON) without the names, and without pictures that may show the samples."""
        shown = PICTURE in said and self._shows(asset)
        if not shown and not self._meant.is_in(said) and not self._in_json.search(said):
            return said
        try:
            return json.dumps(self._value(json.loads(said), shown))
        except ValueError:
            return self.text(said)

    def _value(self, found: Any, shown: bool) -> Any:
        if isinstance(found, dict):
            return {name: self._value(one, shown) for name, one in found.items()}
        if isinstance(found, list):
            return [self._value(one, shown) for one in found]
        if not isinstance(found, str):
            return found
        return GONE if shown and PICTURE in found else self.text(found)
