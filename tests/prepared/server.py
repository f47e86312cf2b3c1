"""The process that imports libraries once, and forks for each command.

Run as ``python server.py SOCKET OWNER``; it says ``ready`` when it can be asked, and ends when the process OWNER does. A
request is a line of JSON (``ask.py``), with the standard streams of the command beside it; the answers are the command's process
id and, when it has ended, its exit status, a line each.

Belongs here: nothing of the project is imported in this file, so that every command has the project's modules of its own.
"""

import array
import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

LIBRARIES = (
    "alembic.command",
    "boto3",
    "click",
    "cv2",
    "dagster",
    "dagster._core.execution.execute_in_process",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.sqlite_storage",
    "httpx2",
    "jinja2",
    "numba",
    "numba.np.npyimpl",
    "numba.typed",
    "numpy",
    "pandas",
    "PIL.Image",
    "PIL.JpegImagePlugin",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pydantic",
    "rich.progress",
    "scipy.stats",
    "sqlalchemy.dialects.sqlite",
    "sqlglot",
    "structlog",
    "torch._dynamo",
    "torchvision.models",
    "upath",
    "watchdog.observers",
    "yaml",
)
"""What commands spend most of their start on, with what Dagster and numba import late; not DuckDB, which has a thread of its own
as soon as it is imported."""
READS_VARIABLES = "huggingface_hub"
"""Reads variables that tests set when it is imported: each command imports it for itself."""
AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "NUMBA_", "OMP_", "MKL_", "OPENBLAS_", "OPENCV_", "TORCH")
"""Variables that the interpreter or one of the libraries reads when it is started: other values need a new interpreter."""
LOOK_SECONDS = 1.0
"""How often the owner is looked for."""
GIVEN = dict(os.environ)
"""The variables that this process was started with."""


def prepare() -> None:
    """Import the libraries.

    Raises:
        RuntimeError: one of them did what a forked process does not survive, or imported what depends on variables.
    """
    for name in LIBRARIES:
        importlib.import_module(name)
    if READS_VARIABLES in sys.modules:
        raise RuntimeError(f"a library imports {READS_VARIABLES}, which reads the variables of a command")
    if threading.active_count() > 1:
        raise RuntimeError(f"a library has started threads: {threading.enumerate()}")
    gc.collect()
    gc.freeze()  # the collector of a command copies no page of what is shared


def serve(path: str, owner: int) -> dict[str, Any] | None:
    """Fork for every request. Returns the request in the process of a command, None at the end of the owner."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    ended, told = socket.socketpair()  # readable when a command has ended
    told.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(told.fileno())
    print("ready", flush=True)
    waiting: dict[int, socket.socket] = {}
    """By process id: who waits for its end."""
    while _exists(owner):
        readable, _, _ = select.select([listener, ended], [], [], LOOK_SECONDS)
        if ended in readable:
            ended.recv(1 << 10)
            _tell_of_ends(waiting)
        if listener not in readable:
            continue
        connection, _ = listener.accept()
        request, streams = receive(connection)
        if request is None:
            connection.close()
            continue
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for kept in (listener, ended, told, connection, *waiting.values()):
                kept.close()
            become(request, streams)
            return request
        for stream in streams:
            os.close(stream)
        waiting[pid] = connection
        tell(connection, pid)
    shutil.rmtree(os.path.dirname(path))
    return None


def _tell_of_ends(waiting: dict[int, socket.socket]) -> None:
    """Tell each command's exit status to who waits for it."""
    while waiting:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with waiting.pop(pid) as connection:
            tell(connection, os.waitstatus_to_exitcode(status))


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def tell(connection: socket.socket, number: int) -> None:
    """Answer, unless who asked has ended."""
    with suppress(ConnectionError):
        connection.sendall(f"{number}\n".encode())


def receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """A request, None if who asked has ended, and the three standard streams of its command."""
    text, streams = b"", array.array("i")
    while not text.endswith(b"\n"):
        part, beside, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(3 * streams.itemsize))
        for _, kind, data in beside:
            if kind == socket.SCM_RIGHTS:
                streams.frombytes(data)
        if not part:
            return None, list(streams)
        text += part
    return json.loads(text), list(streams)


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Take the streams, the folder, the environment and the signals of a process that has just been started.

    What this process cannot become is started instead: an interpreter with options, or with other variables of its own.
    """
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Dagster has it ignored where tests run in the background of a shell
    arguments, environment = request["arguments"], request["environment"]
    option = arguments[0].startswith("-") and arguments[0] not in ("-m", "-c")
    if option or at_start(environment) != at_start(GIVEN):
        os.execve(sys.executable, [sys.executable, *arguments], environment)
    for name in GIVEN:
        del os.environ[name]  # what libraries have set when they were imported stays, as in every process
    os.environ.update(environment)
    time.tzset()
    sys.modules["numpy"].random.seed()  # each process has a state of its own


def at_start(environment: dict[str, str]) -> dict[str, str]:
    """Those variables that are read when an interpreter starts; PYTHONPATH can be followed later."""
    return {k: v for k, v in environment.items() if k.startswith(AT_START) and k != "PYTHONPATH"}


def run(arguments: list[str], added: list[str]) -> None:
    """What ``python ARGUMENTS`` does: ``-m MODULE …``, ``-c CODE …`` or ``SCRIPT …``."""
    kind, module, code = arguments[0], arguments[0] == "-m", arguments[0] == "-c"
    sys.path[:0] = [os.getcwd() if module else "" if code else os.path.dirname(os.path.realpath(kind)), *added]
    importlib.invalidate_caches()
    sys.argv = arguments[1:] if module else ["-c", *arguments[2:]] if code else arguments
    if module:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif code:
        exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(kind, run_name="__main__")


def status_of(arguments: list[str], added: list[str]) -> int:
    """Run a command; its exit status as the interpreter would give it, negative for a signal."""
    try:
        run(arguments, added)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return -signal.SIGINT if sys.exc_info()[0] is KeyboardInterrupt else 1
    return 0


def leave() -> None:
    """End at once: to take hundreds of imported modules down would take longer than most commands."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if STATUS[-1] < 0:
        signal.signal(-STATUS[-1], signal.SIG_DFL)
        os.kill(os.getpid(), -STATUS[-1])
    os._exit(STATUS[-1])


STATUS = [0]

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the tests, not before them
    sys.path.pop(0)  # this folder
    atexit.register(leave)  # the first: it is called after all others, and after the threads have ended
    prepare()
    started = serve(sys.argv[1], int(sys.argv[2]))
    if started is not None:
        places = started["environment"].get("PYTHONPATH", "").split(os.pathsep)
        STATUS.append(status_of(started["arguments"], [place for place in places if place]))
