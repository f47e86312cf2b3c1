"""Shards in turn: each is worked on while its tables are reserved, those that another run has come later.

Belongs here: the order of the shards of one step, wherever they are worked on. Does not belong here: the reservation
(``resources.tables.leases``), where work runs (``resources.compute``), the work.

Two runs of one dataset thereby share its shards: whoever comes second takes the next free one, and finds the others made when
its turn comes, so that nothing is computed twice.
"""

import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from arot_assets.datasets.nodes import meet
from arot_assets.progress import WAITING, track
from resources.compute import Compute, Local, Needs
from resources.tables import Hold, LeaseLostError, TableRef, Tables
from resources.tables.refs import StorePath

R = TypeVar("R")
LOOK_SECONDS = 1.0
"""Between two looks at shards that others have, when no other shard is left."""
log = logging.getLogger("arot")


@dataclass(frozen=True)
class Unit:
    """What is worked on at a time.

    Attributes:
        shard: the shard's name; empty for tables that are one file.
        places: the tables that the work writes.
        run: who works, as other runs are told.
        names: of the tables, as the work calls them.
        machine: of a cluster, that worked on it; empty before, and for work of this process.
    """

    shard: str
    places: tuple[StorePath, ...]
    run: str = ""
    names: tuple[str, ...] = ()
    machine: str = ""

    @classmethod
    def of(cls, dataset: str, shard: str, names: Sequence[str], run: str) -> "Unit":
        """Some tables of one shard of a dataset."""
        return cls(shard, tuple(TableRef(dataset, name, shard) for name in names), run, tuple(names))


@dataclass(frozen=True)
class TablesInUse:
    """Why a unit was not worked on: who has its tables.

    Attributes:
        said: in words.
        token: changes when it is somebody else.
    """

    said: str
    token: str


@dataclass(frozen=True)
class MadeThere(Generic[R]):
    """The result of the work on a unit, and the name of the machine that did it."""

    result: R
    machine: str


@dataclass(frozen=True)
class Attempt(Generic[R]):
    """Work on a unit, if its tables are free: what a worker of whatever engine runs.

    Attributes:
        tables: the store.
        work: makes the tables of a unit.
    """

    tables: Tables
    work: Callable[[Unit], R]

    def __call__(self, unit: Unit) -> MadeThere[R] | TablesInUse:
        """The result, or who has the tables."""
        hold = self.tables.leases.take(unit.places, unit.run)
        if not isinstance(hold, Hold):
            return TablesInUse(
                f"{unit.places[0].path} is made by another run ({hold}); other shards come first", hold.token
            )
        with hold:
            try:
                return MadeThere(self.work(unit), socket.gethostname())
            except LeaseLostError as lost:  # what was computed is kept, and whoever has it now makes the table
                return TablesInUse(str(lost), "")


def work_on(
    compute: Compute,
    tables: Tables,
    shards: Iterable[str],
    unit_of: Callable[[str], Unit],
    work: Callable[[Unit], R],
    done: Callable[[Unit, R], Any],
    needs: Needs = Needs(),  # noqa: B008  # immutable
    say: Callable[[str], None] = log.info,
    sources: Collection[str] = (),
) -> None:
    """Work on every shard, wherever the engine runs units, with its tables reserved.

    Args:
        compute: the engine.
        tables: the store.
        shards: in the order in which they are wanted.
        unit_of: shard -> its unit; called when its turn comes.
        work: makes the tables of a unit. When another run had them before, what that run made is there. For an engine that is not
            local, it and its result can be pickled, and it may run again if a machine is lost.
        done: takes the unit, with the machine of a cluster that worked on it, and the result, in this process.
        needs: of one unit.
        say: tells people about shards that others have, and which machines worked on how many.
        sources: folders and prefixes whose files the work reads.

    Raises:
        StorageError: the store cannot be read or written.
        ComputeError: the engine cannot be used.
        NodeError: some machines of a cluster would not make the same tables.
    """
    left, told = list(shards), set[str]()
    if not left:
        return
    machines = meet(compute, tables, needs, sources)
    attempt = Attempt(tables, work)
    is_waiting, by_machine = False, Counter[str]()
    with ExitStack() as waiting, ExitStack() as shown:
        # what this process does itself, the work reports file by file
        advance = (
            None if compute.is_local else shown.enter_context(track(f"shards on {compute}, {machines}", len(left)))
        )
        while left:
            again: list[str] = []
            last = ""
            results = compute.map(attempt, map(unit_of, left), needs)
            with closing(results):
                for unit, result in results:
                    if not isinstance(result, TablesInUse):
                        where = "" if compute.is_local else result.machine
                        by_machine[where] += 1
                        done(replace(unit, machine=where), result.result)
                        if advance:
                            advance(1)
                        continue
                    again.append(unit.shard)
                    last = result.said
                    if result.token not in told:
                        told.add(result.token)
                        say(result.said)
            if len(again) == len(left):  # nothing but what others have
                if not is_waiting:
                    say(f"{WAITING} for others: {last}")
                    waiting.enter_context(track(f"{WAITING}: {last}"))
                    is_waiting = True
                time.sleep(LOOK_SECONDS)
            elif is_waiting:
                waiting.close()
                is_waiting = False
            left = again
    if not compute.is_local:
        say(f"shards by machine: {', '.join(f'{name} {number:,}' for name, number in by_machine.most_common())}")


def in_turn(
    tables: Tables,
    shards: Iterable[str],
    reserved: Callable[[str], Sequence[StorePath]],
    work: Callable[[str], None],
    run: str = "",
    say: Callable[[str], None] = log.info,
) -> None:
    """The same in this process, one shard at a time: see ``work_on``.

    Args:
        tables: the store.
        shards: in the order in which they are wanted; ``""`` for tables that are one file.
        reserved: shard -> the tables that the work writes.
        work: makes the tables of a shard.
        run: who works, as other runs are told.
        say: tells people about shards that others have.

    Raises:
        StorageError: the store cannot be read or written.
    """
    work_on(
        Local(),
        tables,
        shards,
        lambda shard: Unit(shard, tuple(reserved(shard)), run),
        lambda unit: work(unit.shard),
        lambda _unit, _result: None,
        say=say,
    )
