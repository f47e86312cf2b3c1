"""A real PostgreSQL on loopback, of Debian's package or whatever is installed; it can be killed and started again.

Belongs here: starting, killing and asking the server. Does not belong here: what is kept in it.
"""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.waiting import until, work_of

PR_SET_PDEATHSIG = 1


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None if PostgreSQL is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class Postgres:
    """A server with one database, ``dagster``, and one user with a password.

    Attributes:
        password: of user ``dagster``.
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, folder: Path, bin: Path) -> None:
        self.password = secrets.token_hex(12)
        self._folder, self._bin = folder, bin
        # PostgreSQL refuses to run as root
        self._user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []}
        if os.getuid():
            self._user = {}
        else:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
        secret = folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        subprocess.run(
            [bin / "initdb", "-D", folder / "data", "-U", "dagster", "-A", "scram-sha-256", f"--pwfile={secret}", "-N"],
            check=True,
            capture_output=True,
            cwd=folder,
            **self._user,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()
        with self._connected("postgres") as cursor:
            cursor.execute("create database dagster")

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which clients of `deploy/dagster.yaml` reach it."""
        return {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(self.port), "POSTGRES_PASSWORD": self.password}

    def start(self) -> None:
        """Start it on its files, and wait until it answers."""
        log = (self._folder / "log").open("ab")
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "300",
        }
        with log:
            self._process = subprocess.Popen(
                [
                    str(self._bin / "postgres"),
                    *("-D", str(self._folder / "data"), "-p", str(self.port)),
                    *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
                ],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                preexec_fn=_end_with_the_parent,
                **self._user,
            )
        until("PostgreSQL", self._answers, work_of(self._process.pid), told=(self._folder / "log").read_text)

    def kill(self) -> None:
        """Kill -9 the server; its children notice, and end."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it at once, in order."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._connected("dagster") as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    @contextmanager
    def _connected(self, database: str) -> Iterator[Any]:
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="dagster", password=self.password, dbname=database
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        import psycopg2

        with suppress(psycopg2.OperationalError), self._connected("postgres"):
            return True
        return False


def _end_with_the_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


@contextmanager
def postgres(bin: Path) -> Iterator[Postgres]:
    """A server of its own, in a folder that its user may enter; stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="arot-postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder), bin)
        try:
            yield server
        finally:
            server.stop()
