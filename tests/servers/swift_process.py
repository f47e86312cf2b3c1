"""The process that runs OpenStack Swift for ``tests.servers.swift``: it imports Swift once and forks its four servers.

Belongs here: what happens inside that process: rings, the fork, the end of all when the parent ends.
Does not belong here: how tests start it and talk to it (``tests.servers.swift``), filters (``tests.servers.swift_filters``).

Run as ``python -m tests.servers.swift_process FOLDER PROXY ACCOUNT CONTAINER OBJECT`` (four free ports). It lives as long
as its standard input stays open, so nothing outlives the test session, even one that is killed.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

STORAGE = ("account", "container", "object")
PR_SET_PDEATHSIG = 1
"""Of Linux' ``prctl``: the signal that a process gets when its parent ends."""


def write_rings(folder: Path, ports: dict[str, int]) -> None:
    """One ring a storage server: 16 partitions, one replica, one device."""
    from swift.common.ring.builder import RingBuilder

    for name in STORAGE:
        builder = RingBuilder(4, 1, 0)
        builder.add_dev(
            {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": ports[name], "device": name, "weight": 1.0, "meta": ""}
        )
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{name}.ring.gz"))


def main(folder: Path, ports: dict[str, int]) -> None:
    """Fork the four servers, wait until standard input closes, end them."""
    from swift.account import server as account
    from swift.common import utils, wsgi
    from swift.common.middleware import bulk, copy, dlo, proxy_logging, slo, symlink, tempauth, versioned_writes  # noqa: F401
    from swift.common.middleware.s3api import s3api  # noqa: F401
    from swift.container import server as container
    from swift.obj import server as objects
    from swift.proxy import server as proxy

    del account, container, proxy  # imported before the fork, for the children to share
    utils.set_swift_dir(str(folder))
    write_rings(folder, ports)
    children = []
    for name in (*STORAGE, "proxy"):
        pid = os.fork()
        if pid == 0:
            os.close(0)
            # Swift leaves the process group, so a signal to the group would not reach it
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            extra = {"global_conf_callback": objects.global_conf_callback} if name == "object" else {}
            os._exit(wsgi.run_wsgi(str(folder / f"{name}.conf"), f"{name}-server", verbose=True, **extra) or 0)
        children.append(pid)
    try:
        while os.read(0, 1024):
            continue
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    names = ("proxy", *STORAGE)
    main(Path(sys.argv[1]), dict(zip(names, map(int, sys.argv[2:]), strict=True)))
