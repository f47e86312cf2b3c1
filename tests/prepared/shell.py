"""What stands for ``python`` and for commands written in Python in a shell: it has the prepared process run them.

Belongs here: the program that such a file calls. Does not belong here: anything that takes long to import, for a shell starts it
for each command.
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from tests.prepared.ask import ask

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(path: str, arguments: Sequence[str]) -> None:
    """Be the command as far as a shell can tell: its streams, its signals and its exit status.

    Args:
        path: the socket of the prepared process.
        arguments: of the interpreter.
    """
    environment = {os.fsdecode(k): os.fsdecode(v) for k, v in os.environb.items()}
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)  # a signal that comes now is for the command as well
    pid, connection = ask(path, arguments, os.getcwd(), environment, (0, 1, 2))

    def forward(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in FORWARDED:
        signal.signal(number, forward)
    woken, told = socket.socketpair()  # a signal that comes just before this waits ends the waiting too
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    while connection not in select.select([connection, woken], [], [])[0]:
        woken.recv(100)
    status = int(connection.recv(100))
    sys.exit(status if status >= 0 else 128 - status)  # what a shell says of a signal
