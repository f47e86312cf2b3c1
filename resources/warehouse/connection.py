"""Opening DuckDB so that it can read the store, wherever it is.

Belongs here: connections, their limits, and what they need to reach S3. Does not belong here: views (``views.py``).

The extension comes with a Python package, so nothing is downloaded. Credentials go into a secret of the connection, which is
never written to a database file.
"""

import logging
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from resources.machine import Machine
from resources.scratch import ScratchError, folder_for_later
from resources.storage.objects import StorageError, is_local, scheme_of
from resources.tables.tables import Tables

if TYPE_CHECKING:
    import duckdb

    from resources.storage.storage import Storage

HTTP_RETRIES = 8
THREADS = 16
"""Files that DuckDB requests concurrently: most of a request is spent waiting."""
_installing = threading.Lock()
log = logging.getLogger("arot")


def default_memory_limit(machine: Machine | None = None) -> str:
    """What a connection may use where nothing else is said, in DuckDB's notation: a quarter of a small machine, 2 GB of an
    ordinary one, an eighth of a large one. Several connections are open at once, beside the pixels that are decoded. A join of
    ten tables of 10 M samples takes 2.7 GB; with less it is read and written in parts.
    """
    memory = (machine or Machine()).memory
    return f"{min(memory // 4, max(2_000_000_000, memory // 8)) // 1_000_000}MB"


def open_duckdb(
    tables: Tables, database: str = ":memory:", memory_limit: str | None = None
) -> "duckdb.DuckDBPyConnection":
    """A connection that reads the tables of a store.

    Args:
        tables: the store's tables.
        database: a file, or in memory.
        memory_limit: in DuckDB's notation; None for DuckDB's default.

    Raises:
        StorageError: the store is on a scheme that DuckDB cannot read here, or there are no credentials.
    """
    import duckdb

    con = duckdb.connect(database, config={"memory_limit": memory_limit} if memory_limit else {})
    try:
        con.execute("set timezone = 'UTC'")
        con.execute("set global parquet_metadata_cache = true")
        con.execute("set enable_progress_bar = false")
        con.execute(f"set temp_directory = '{_quoted(_spill_folder())}'")
        if not is_local(tables.root):
            if scheme_of(tables.root) != "s3":
                raise StorageError(
                    f"DuckDB cannot read a store at '{tables.root}'; point AROT_STORE to a folder or to s3://"
                )
            reach_s3(con, tables.storage)
    except BaseException:
        con.close()
        raise
    return con


def reach_s3(con: "duckdb.DuckDBPyConnection", storage: "Storage") -> None:
    """Let a connection read ``s3://``, with the endpoint and the credentials of the storage.

    Raises:
        StorageError: there are no credentials.
    """
    from duckdb_extensions import import_extension

    from resources.storage.s3.backend import S3Backend

    with _installing:
        import_extension("httpfs", con=con)
    con.execute("load httpfs")
    con.execute(f"set threads = {max(THREADS, Machine().cores)}")
    con.execute(f"set global http_retries = {HTTP_RETRIES}")  # also of the connections beside it
    con.execute("set global http_keep_alive = true")
    session = storage.using(S3Backend).requests.session
    access = session.access()
    values = {"REGION": session.region}
    if access is not None:
        values |= {"KEY_ID": access.access_key, "SECRET": access.secret_key}
        values |= {"SESSION_TOKEN": access.token} if access.token else {}
    endpoint = session.own_endpoint()
    if endpoint:
        parts = urlsplit(endpoint)
        values |= {"ENDPOINT": parts.netloc.rpartition("@")[2] + parts.path.rstrip("/"), "URL_STYLE": "path"}
        values["USE_SSL"] = "true" if parts.scheme == "https" else "false"
    options = ", ".join(f"{name} '{_quoted(value)}'" for name, value in values.items())
    con.execute(f"create or replace temporary secret arot_s3 (type s3, {options})")


def _spill_folder() -> str:
    """A folder of its own for what exceeds the memory limit, made and removed by DuckDB; empty, for none, if there is no place.

    Connections that share one, as they would by DuckDB's default, lose it to the first that closes.
    """
    try:
        return str(folder_for_later("duckdb"))
    except ScratchError as error:
        log.warning("%s; until then a query that needs more memory than it may use fails", error)
        return ""


def _quoted(value: str) -> str:
    return value.replace("'", "''")
