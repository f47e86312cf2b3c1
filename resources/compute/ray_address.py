"""Where a Ray cluster is reached: whether somebody answers there, and whether this machine may join.

Belongs here: what is told before Ray is asked, which waits for long, or ends the process. Does not belong here: joining
(``ray_cluster.py``).
"""

import socket
from contextlib import suppress
from pathlib import Path

from resources.compute.engine import ADDRESS_VARIABLE, ComputeError

ANSWER_SECONDS = 10.0
"""How long a cluster may take to accept a connection."""
CLIENT_PORT = 10001
"""Where a head answers drivers that are on no node, unless it was started with another one."""


def reach(address: str) -> None:
    """Make sure that somebody answers: Ray itself would try for a quarter of an hour.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():  # else Ray knows what is meant, such as ``auto``
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()


def require_node(address: str) -> None:
    """Make sure that this machine is a node of the cluster, unless a server of its head is asked (``ray://``): Ray would end this
    process (abort) where it finds no node beside it.

    Raises:
        ComputeError: it is not.
    """
    host, _, port = address.rpartition(":")
    if "://" in address or not (host and port.isdecimal()) or _has_node(port):
        return
    raise ComputeError(
        f"this machine is no node of the Ray cluster at '{address}': set {ADDRESS_VARIABLE}=ray://{host}:{CLIENT_PORT}, or let "
        f"it join without working, by `ray start --address={address} --num-cpus=0`"
    )


def _has_node(port: str) -> bool:
    """Whether a node of the cluster whose head has this port runs on this machine; True where that cannot be told.

    Args:
        port: of the head, in decimal digits.
    """
    processes = Path("/proc")
    if not (processes / "self").exists():
        return True
    for file in processes.glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended, or is another user's
            words = file.read_bytes().split(b"\0")
            address = next((word for word in words if word.startswith(b"--gcs-address=")), b"")
            if words[0].endswith(b"/raylet") and address.endswith(f":{port}".encode()):
                return True
    return False
