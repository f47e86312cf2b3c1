"""Shards in turn: each is worked on while its tables are reserved, those that another run has come later.

Belongs here: the order of the shards of one step. Does not belong here: the reservation (``resources.tables.leases``), the work.

Two runs of one dataset thereby share its shards: whoever comes second takes the next free one, and finds the others made when
its turn comes, so that nothing is computed twice.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import count

from arot_assets.progress import track
from resources.tables import Hold, LeaseLostError, TableRef, Tables

LOOK_SECONDS = 1.0
"""Between two looks at shards that others have, when no other shard is left."""
log = logging.getLogger("arot")


def in_turn(
    tables: Tables,
    shards: Iterable[str],
    reserved: Callable[[str], Sequence[TableRef]],
    work: Callable[[str], None],
    run: str = "",
    say: Callable[[str], None] = log.info,
) -> None:
    """Work on every shard, one at a time, with its tables reserved.

    Args:
        tables: the store.
        shards: in the order in which they are wanted; ``""`` for tables that are one file.
        reserved: shard -> the tables that the work writes.
        work: makes them. When another run had the shard before, what that run made is there.
        run: who works, as other runs are told.
        say: tells people about shards that others have.

    Raises:
        StorageError: the store cannot be read or written.
    """
    left, told = deque(shards), set[str]()

    def next_free() -> tuple[str, Hold]:
        with ExitStack() as waiting:
            for looks in count(1):
                shard = left.popleft()
                found = tables.leases.take(reserved(shard), run)
                if isinstance(found, Hold):
                    return shard, found
                left.append(shard)
                name = ", ".join(ref.path for ref in reserved(shard)[:1])
                if found.token not in told:
                    told.add(found.token)
                    say(f"{name} is made by another run ({found}); other shards come first")
                if looks % len(left) == 0:  # nobody has fewer than this run
                    if looks == len(left):
                        waiting.enter_context(track(f"{name}: waiting for {found}"))
                    time.sleep(LOOK_SECONDS)
        raise AssertionError("it looks for ever")

    while left:
        shard, hold = next_free()
        with hold:
            try:
                work(shard)
            except LeaseLostError as lost:  # what was computed is kept, and whoever has it now makes the table
                say(str(lost))
                left.append(shard)
