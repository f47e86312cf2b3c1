"""How the prepared process is asked for a command."""

import json
import socket
from collections.abc import Mapping, Sequence


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
