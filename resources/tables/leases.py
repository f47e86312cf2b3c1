"""Who writes a table: leases in the store, so that two processes, on whatever machines, never make the same table at once.

Belongs here: taking, renewing, taking over and giving back. Does not belong here: in which order shards are worked on while
some are held by others (``arot_assets.datasets.turns``).

A lease is a small file below ``leases/``, created in one step that fails if it exists. Its holder replaces it regularly, as long
as it is still the version that the holder wrote. Others never compare times of two machines: they watch the file, and take it
over, again in one conditional step, once it has not changed for the lease's time on their own clock, which no change of the date
affects. A holder of this machine that is gone is found at once. Readers know nothing of leases.

A holder that was stopped for longer than its lease (a suspended machine, an unreachable store) finds it lost, and its table is
not written: ``confirm`` stands before each write.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from resources.errors import ArotError
from resources.processes import started, system
from resources.storage.storage import Storage, StorageError, join
from resources.tables.refs import LEASES, SUFFIX, StorePath

SECONDS_VARIABLE = "AROT_LEASE_SECONDS"
SECONDS = 60.0
"""How long a table stays reserved for a process that gives no sign of life, unless ``$AROT_LEASE_SECONDS`` says otherwise."""
LOOK_SECONDS = 1.0
"""Between two looks at what others have."""
SIGNS = 3
"""Signs of life within the time of a lease."""
log = logging.getLogger("arot")


class LeaseLostError(ArotError):
    """Another process took a table over, because this one gave no sign of life for too long; nothing was written."""


@dataclass(frozen=True)
class Holder:
    """A process that makes a table, as its lease says.

    Attributes:
        token: of this one reservation.
        host, pid: where it runs.
        run: Dagster's run, or what else it works for; may be empty.
        since: when it began, by its own clock; for people.
        seconds: how long the lease lasts without a sign of life.
        beat: counts the signs of life.
        system: the boot and the namespace in which ``pid`` is a process; empty where the system does not tell.
        started: when that process started, in ticks since the boot.
    """

    token: str
    host: str
    pid: int
    run: str
    since: str
    seconds: float
    beat: int = 0
    system: str = ""
    started: str = ""

    def __str__(self) -> str:
        """Who it is, for people."""
        run = f"run {self.run.partition('-')[0]}, " if self.run else ""
        return f"{run}process {self.pid} on {self.host}, since {self.since}"

    @property
    def is_gone(self) -> bool:
        """Whether it was a process of this system that has ended; False if that cannot be told."""
        return bool(self.system) and self.system == system() and started(self.pid) != self.started

    def encoded(self) -> bytes:
        """The file's content."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decoded(cls, data: bytes) -> "Holder":
        """The holder that a file names; an unknown one, of whom only changes count, if it is none of ours."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return cls(data.decode(errors="replace"), "an unknown machine", 0, "", "an unknown time", SECONDS)


def clock() -> float:
    """Seconds that pass whatever happens to the date, and while the machine sleeps where the system counts that."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def lease_seconds() -> float:
    """``$AROT_LEASE_SECONDS``, or ``SECONDS``."""
    return float(os.environ.get(SECONDS_VARIABLE) or SECONDS)


class Leases:
    """The leases of one store, as one process takes and sees them. Thread-safe.

    Args:
        storage: reaches the store.
        root: the store's URI.
        seconds: how long a lease lasts without a sign of life; default ``lease_seconds()``.
        now: the clock.
    """

    def __init__(
        self, storage: Storage, root: str, seconds: float | None = None, now: Callable[[], float] = clock
    ) -> None:
        self._storage, self._root = storage, root
        self._seconds = lease_seconds() if seconds is None else seconds
        self._now = now
        self._held: dict[str, Hold] = {}
        self._seen: dict[str, tuple[tuple[str, int], float]] = {}

    def take(self, places: Sequence[StorePath], run: str = "") -> "Hold | Holder":
        """Reserve some tables, all or none.

        Args:
            places: the tables.
            run: what the work is for, as others are told.

        Returns:
            The reservation, which its owner ends (``with``); or who holds one of the tables.

        Raises:
            StorageError: the store cannot be read or written.
        """
        began = self._now()
        me = Holder(
            token=uuid.uuid4().hex,
            host=socket.gethostname(),
            pid=os.getpid(),
            run=run,
            since=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            seconds=self._seconds,
            system=system(),
            started=started(os.getpid()),
        )
        hold = Hold(self._storage, me, self._now, began)
        for path in sorted({place.path for place in places}):  # in one order, so that two never wait for each other
            uri = self.uri(path)
            try:
                other = self._take_one(uri, me)
            except BaseException:
                hold.end()
                raise
            if other is not None:
                hold.end()
                return other
            hold.uris.append(uri)
            self._held[path] = hold
        hold.begin()
        return hold

    def wait_for(self, places: Sequence[StorePath], run: str = "", say: Callable[[str], None] = log.info) -> "Hold":
        """Reserve some tables; while others have one of them, wait, and say once for whom.

        Raises:
            StorageError: the store cannot be read or written.
        """
        told: set[str] = set()
        while isinstance(held := self.take(places, run), Holder):
            if held.token not in told:
                told.add(held.token)
                say(f"{places[0].path} is made by another run ({held}): waiting for it")
            time.sleep(LOOK_SECONDS)
        return held

    def confirm(self, place: StorePath) -> None:
        """Make sure that a table that this process has reserved is still its own; nothing to do for any other.

        Raises:
            LeaseLostError: it is not.
            StorageError: the store cannot be reached to tell.
        """
        hold = self._held.get(place.path)
        if hold is not None and hold.is_over:
            del self._held[place.path]
        elif hold is not None:
            hold.confirm()

    def uri(self, path: str) -> str:
        """Where the lease of a table is."""
        return join(self._root, f"{LEASES}/{path.removesuffix(SUFFIX).replace('/', '.')}")

    def _take_one(self, uri: str, me: Holder) -> Holder | None:
        """Create a lease or take it over; gives the holder if it is held."""
        try:
            self._storage.write(uri, me.encoded(), create_only=True)
        except StorageError as error:
            if error.kind != "exists":
                raise
        else:
            return None
        try:
            version = self._storage.version(uri)  # before the content: what is judged is not newer than it
            other = Holder.decoded(self._storage.read_bytes(uri))
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return self._take_one(uri, me)  # it was given back at this moment
        if not (other.is_gone or self._has_expired(uri, other)):
            return other
        try:
            self._storage.replace(uri, me.encoded(), version)
        except StorageError as error:
            if error.kind != "changed":
                raise
            return other  # it lives, or somebody else was faster
        log.info("%s was given up by %s; taken over", uri.rpartition("/")[2], other)
        return None

    def _has_expired(self, uri: str, other: Holder) -> bool:
        """Whether this process has seen no change of a lease for the lease's time."""
        sign, now = (other.token, other.beat), self._now()
        last, since = self._seen.get(uri, (None, now))
        if last != sign:
            self._seen[uri] = sign, now
            return False
        return now - since > other.seconds


class Hold:
    """Tables reserved for this process, until it is ended; a thread gives the signs of life.

    Args:
        storage: reaches the store.
        me: what the leases say.
        now: the clock.
        began: before the first lease was taken, by that clock.
    """

    def __init__(self, storage: Storage, me: Holder, now: Callable[[], float], began: float) -> None:
        self.uris: list[str] = []
        self._storage, self._me, self._now, self._renewed = storage, me, now, began
        self._over, self._renewing = threading.Event(), threading.Lock()
        self._lost = ""
        self._thread = threading.Thread(target=self._live, name="arot-lease", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the reservation."""
        self.end()

    @property
    def is_over(self) -> bool:
        """Whether it was ended."""
        return self._over.is_set()

    def begin(self) -> None:
        """Give signs of life from now on."""
        self._thread.start()

    def confirm(self) -> None:
        """Make sure that the tables are still reserved; asks the store only if the last sign of life is a while ago.

        Raises:
            LeaseLostError: they are not.
            StorageError: the store cannot be reached to tell.
        """
        if not self._lost and self._now() - self._renewed > self._me.seconds / 2:
            self._renew()
        if self._lost:
            raise LeaseLostError(
                f"{self._lost} was taken over by another process, because this one gave no sign of life for "
                f"{self._me.seconds:.0f} s; nothing was written, and finished rows are kept: run it again"
            )

    def end(self) -> None:
        """Give the tables back. A lease that cannot be removed is told, and ends by itself after its time."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        certain = self._now() - self._renewed < self._me.seconds / 2
        for uri in self.uris if not self._lost else ():
            try:
                if certain or self._is_mine(uri):
                    self._storage.delete(uri)
            except StorageError as error:
                log.warning("%s; the reservation ends by itself after %.0f s", error, self._me.seconds)

    def _live(self) -> None:
        while not self._over.wait(self._me.seconds / SIGNS) and not self._lost:
            try:
                self._renew()
            except StorageError as error:  # tried again; whoever writes finds out
                log.warning("no sign of life given: %s", error)

    def _renew(self) -> None:
        """One sign of life for each table.

        Raises:
            StorageError: the store cannot be reached.
        """
        with self._renewing:
            began = self._now()
            self._me = replace(self._me, beat=self._me.beat + 1)
            for uri in self.uris:
                try:
                    version = self._storage.version(uri)
                    if not self._is_mine(uri):
                        self._lost = uri.rpartition("/")[2]
                        return
                    self._storage.replace(uri, self._me.encoded(), version)
                except StorageError as error:
                    if error.kind not in ("changed", "not_found"):
                        raise
                    self._lost = uri.rpartition("/")[2]
                    return
            self._renewed = began

    def _is_mine(self, uri: str) -> bool:
        try:
            return Holder.decoded(self._storage.read_bytes(uri)).token == self._me.token
        except StorageError as error:
            if error.kind != "not_found":
                raise
            return False
