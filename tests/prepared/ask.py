"""How the prepared process is asked for a command; and, as a program, what stands for ``python`` in a shell.

Belongs here: nothing that takes long to import, for a shell starts this program for each command.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from types import FrameType


def ask(
    path: str, arguments: Sequence[str], folder: str, environment: Mapping[str, str], streams: Sequence[int]
) -> tuple[int, socket.socket]:
    """Have ``python ARGUMENTS`` run.

    Args:
        path: the socket of the prepared process.
        arguments: of the interpreter.
        folder: where it runs.
        environment: all of its variables.
        streams: descriptors of its standard input, output and errors.

    Returns:
        Its process id, and the connection from which its exit status can be read when it has ended.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    request = {"arguments": list(arguments), "folder": folder, "environment": dict(environment)}
    text = json.dumps(request).encode() + b"\n"
    sent = socket.send_fds(connection, [text[:1]], list(streams))
    connection.sendall(text[sent:])
    answer = b""
    while not answer.endswith(b"\n"):
        part = connection.recv(1)  # no byte of the status
        if not part:
            raise ConnectionError(f"{path}: the prepared process has ended")
        answer += part
    return int(answer), connection


def main(path: str, arguments: Sequence[str]) -> None:
    """Be the command, as far as the shell can tell: its streams, its signals and its exit status."""
    environment = {os.fsdecode(k): os.fsdecode(v) for k, v in os.environb.items()}
    pid, connection = ask(path, arguments, os.getcwd(), environment, (0, 1, 2))

    def forward(number: int, frame: FrameType | None) -> None:
        os.kill(pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    status = int(connection.recv(100))
    if status < 0:  # it was killed: so is this one
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
