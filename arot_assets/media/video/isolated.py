"""Probing and decoding in a process of its own, so that a decoder that hangs or crashes costs one film and not the run.

Belongs here: the process, what is sent to it and comes back, and the clock over it. Does not belong here: what it does
(``probe.py``, ``film.py``).

A process is kept for the next film. It is ended when nothing was heard of it for ``STALL_SECONDS``; one whose parent is
gone ends itself. Results are read as they come: a process that is ahead waits for its reader, which is no stall.
One that was killed from outside, by the kernel for the memory of all, say, tells nothing of its film, which gets a second try.
"""

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arot_assets.media.file import KILLED, DecodeError, Limits
from arot_assets.media.medium import Probe
from arot_assets.media.wants import Part, Pixels
from resources.scratch import ScratchError, full_disk
from resources.storage import StorageError
from resources.storage.objects import UNABLE, explain

if TYPE_CHECKING:
    from arot_assets.media.video.clip_file import Cut, Settings

STALL_SECONDS = 120.0
"""Seconds without a sign of life after which a decoder counts as stalled. There is one for every 24 frames and 1,000
packets."""
BEAT_SECONDS = 1.0
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Films are worked on side by side; threads for products of small matrices would only wait for each other."""
ORPHAN_SECONDS = 5.0


class Worker:
    """One process.

    Attributes:
        pid: of the process.
    """

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        path = os.pathsep.join(p for p in sys.path if p)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.pid = self._process.pid

    def ask(self, job: str, *arguments: Any) -> Iterator[Any]:
        """What a job gives, as it comes.

        Raises:
            DecodeError, ScratchError: the job's.
            StorageError: nothing was heard of it for ``STALL_SECONDS``, or the process died; of the kind ``KILLED`` if
                somebody killed it. Or this machine cannot write what it makes.
        """
        try:
            self._connection.send((job, arguments))
            while True:
                if not self._connection.poll(STALL_SECONDS):
                    raise StorageError(f"decoder stalled: nothing came for {STALL_SECONDS:g} s")
                kind, value = self._connection.recv()
                if kind == "part":
                    yield value
                elif kind == "end":
                    return
                elif kind == "error":
                    raise value
        except (EOFError, OSError) as error:
            code = self._process.wait(10)
            if code >= 0:
                raise StorageError(f"decoder crashed: exit status {code}") from error
            name = f"signal {-code} ({signal.Signals(-code).name})"
            raise StorageError(f"decoder crashed: {name}", kind=KILLED if -code == signal.SIGKILL else "") from error

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


class Workers:
    """Processes that wait for work. Thread-safe: each film has a process of its own."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def ask(self, job: str, *arguments: Any) -> Iterator[Any]:
        """See ``Worker.ask``. A generator that is closed early ends its process."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or Worker()
        sound = False
        try:
            try:
                yield from worker.ask(job, *arguments)
                sound = True
            except DecodeError:
                sound = True
                raise
        finally:
            if sound:
                with self._lock:
                    self._idle.append(worker)
            else:
                worker.close()

    def close(self) -> None:
        """End all that wait."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()


WORKERS = Workers()
"""Those of this process."""
atexit.register(WORKERS.close)


def probe(path: Path, uri: str, limits: Limits) -> Probe:
    """See ``probe.probe_film``.

    Raises:
        StorageError: the decoder stalled or crashed.
    """
    (found,) = _all("probe", path, uri, limits)
    assert isinstance(found, Probe)
    return found


def measured(path: Path, facts: Mapping[str, Any], **wanted: Any) -> Iterator[Part]:
    """See ``film.measured_film``, whose arguments ``wanted`` holds.

    Raises:
        DecodeError: it cannot be decoded.
        StorageError: the decoder stalled or crashed.
    """
    yield from WORKERS.ask("film", path, dict(facts), wanted)


def poster(path: Path, facts: Mapping[str, Any], side: int) -> Pixels:
    """See ``poster.poster_of``.

    Raises:
        DecodeError: it cannot be decoded.
        StorageError: the decoder stalled or crashed.
    """
    (found,) = _all("poster", path, dict(facts), side)
    pixels: Pixels = found
    return pixels


def moments(path: Path, facts: Mapping[str, Any], most: int, fps: float | None) -> list[Pixels]:
    """See ``poster.moments_of``.

    Raises:
        DecodeError: it cannot be decoded.
        StorageError: the decoder stalled or crashed.
    """
    return _all("moments", path, dict(facts), most, fps)


def preview(path: Path, facts: Mapping[str, Any], side: int) -> bytes:
    """See ``poster.preview_of``.

    Raises:
        DecodeError: it cannot be decoded.
        StorageError: the decoder stalled or crashed.
    """
    (found,) = _all("preview", path, dict(facts), side)
    moving: bytes = found
    return moving


def cut(path: Path, facts: Mapping[str, Any], *arguments: Any) -> Iterator[dict[str, Any]]:
    """See ``cut.cut_film``, whose other arguments follow.

    Raises:
        DecodeError: the film cannot be decoded.
        ScratchError: the disk of the folder is full.
        StorageError: the decoder stalled or crashed.
    """
    yield from WORKERS.ask("cut", path, dict(facts), *arguments)


def _all(job: str, *arguments: Any) -> list[Any]:
    """All that a job gives, of a second process if the first was killed."""
    try:
        return list(WORKERS.ask(job, *arguments))
    except StorageError as error:
        if error.kind != KILLED:
            raise
    return list(WORKERS.ask(job, *arguments))


def _jobs() -> Mapping[str, Callable[..., Iterator[Any]]]:
    from arot_assets.media.video.cut import cut_film
    from arot_assets.media.video.film import measured_film, warm_up
    from arot_assets.media.video.poster import moments_of, poster_of, preview_of
    from arot_assets.media.video.probe import probe_film

    def film(path: Path, facts: Mapping[str, Any], wanted: Mapping[str, Any], beat: Callable[[], None]) -> Any:
        for _ in warm_up():
            beat()
        return measured_film(path, facts, **wanted)

    def one(path: Path, uri: str, limits: Limits, beat: Callable[[], None]) -> Iterator[Probe]:
        yield probe_film(path, uri, limits, beat)

    def image(path: Path, facts: Mapping[str, Any], side: int, _beat: Callable[[], None]) -> Iterator[Pixels]:
        yield poster_of(path, facts, side)

    def several(
        path: Path, facts: Mapping[str, Any], most: int, fps: float | None, beat: Callable[[], None]
    ) -> Iterator[Pixels]:
        for picture in moments_of(path, facts, most, fps):
            beat()
            yield picture

    def moving(path: Path, facts: Mapping[str, Any], side: int, _beat: Callable[[], None]) -> Iterator[bytes]:
        yield preview_of(path, facts, side)

    def clips(
        path: Path,
        facts: Mapping[str, Any],
        cuts: "Sequence[Cut]",
        settings: "Settings",
        folder: Path,
        beat: Callable[[], None],
    ) -> Iterator[dict[str, Any]]:
        for _ in warm_up():
            beat()
        try:
            yield from cut_film(path, facts, cuts, settings, folder, beat)
        except OSError as error:  # FFmpeg's are that too
            if (told := full_disk(error, folder)) is not None:
                raise told from error
            raise

    return {"film": film, "probe": one, "poster": image, "moments": several, "preview": moving, "cut": clips}


def serve(connection: Connection) -> None:
    """Do what is asked, until nobody asks."""
    import cv2

    cv2.setNumThreads(1)
    jobs = _jobs()
    last = 0.0

    def beat() -> None:
        nonlocal last
        if time.monotonic() - last > BEAT_SECONDS:
            last = time.monotonic()
            connection.send(("beat", None))

    while True:
        try:
            job, arguments = connection.recv()
        except EOFError:
            return
        try:
            for part in jobs[job](*arguments, beat):
                connection.send(("part", part))
            connection.send(("end", None))
        except (DecodeError, ScratchError) as error:
            connection.send(("error", error))
        except (BrokenPipeError, ConnectionResetError):
            return
        except OSError as error:  # a full disk, say: no fault of the film
            if error.errno not in UNABLE:
                raise
            connection.send(("error", explain(str(error.filename or tempfile.gettempdir()), "write", error)))


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the parent, which then ends this process
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    serve(Connection(int(sys.argv[1])))
