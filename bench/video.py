"""What does one decode of a film cost, beside decoding alone? CPU time and memory of the whole pass, and memory over hours.

Belongs here: the comparison and its report. Does not belong here: how well boundaries are found (``shots.py``).
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from statistics import median

import av

from arot_assets.markdown import write_table
from arot_assets.media.file import Limits
from arot_assets.media.video.decode import decoded
from arot_assets.media.video.film import measured_film, warm_up
from arot_assets.media.video.probe import probe_film
from arot_assets.media.wants import DecodingProgress

WORK = ("decode only", "the whole pass", "the whole pass with stills in RGB")
CONTENT = """
import sys, time
import cv2
from scenedetect import ContentDetector, detect
cv2.setNumThreads(1)
detect(sys.argv[1], ContentDetector(), end_time=2)
start = time.process_time()
detect(sys.argv[1], ContentDetector())
print(time.process_time() - start)
"""
PEER = "PySceneDetect ContentDetector"
EPILOG = """
CPU seconds are of all threads of the process; rounds are interleaved, and only ratios within one run mean anything on a
machine that does other work.

examples:
  python bench/video.py film_720p.mp4 film_1080p.mp4 --rounds 3
  python bench/video.py film_1080p.mp4 --hours 2     the whole pass over the film again and again, for so long a film
"""
MINUTES = (1, 10, 30, 60, 120, 240)
"""Minutes of film after which the memory is told."""


def main() -> None:
    """Measure each film, each piece of work in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hours", type=float, help="the memory over a film of this length, made by repeating each")
    parser.add_argument("--scenedetect", metavar="PYTHON", help="an interpreter that has PySceneDetect and OpenCV")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.hours:
        for film in arguments.films:
            print(memory_over_hours(film, arguments.hours))
        return
    if arguments.work is not None:
        print(*measure(arguments.films[0], arguments.work))
        return
    rows = []
    for film in arguments.films:
        facts = probe_film(film, film.name, Limits()).facts
        found: dict[str, list[tuple[float, ...]]] = {}
        for _ in range(arguments.rounds):
            for work in range(len(WORK)):
                command = [sys.executable, __file__, str(film), "--work", str(work)]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                found.setdefault(WORK[work], []).append(tuple(map(float, told)))
            if arguments.scenedetect:
                command = [arguments.scenedetect, "-c", CONTENT, str(film)]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                found.setdefault(PEER, []).append((float(told[-1]), int(str(facts["frames_expected"])), float("nan")))
        alone = median(seconds for seconds, _, _ in found[WORK[0]])
        for name, times in found.items():
            seconds, frames, grown = (median(values) for values in zip(*times, strict=True))
            size = f"{facts['height']}p"
            rate, share = f"{frames / seconds:,.0f}", f"{alone / seconds:.0%}"
            rows.append((film.name, size, name, rate, share, "" if isnan(grown) else f"{grown:,.0f}"))
    print(write_table(("film", "size", "work", "frames a CPU second", "of decode only", "MB over the start"), rows))
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f} (one minute); {arguments.rounds} rounds, medians.")


def memory_over_hours(film: Path, hours: float) -> str:
    """The growth of the memory after some minutes of a film that is repeated, as a table."""
    warmed_up()
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / f"long{film.suffix}"
        repeat(film, long, hours * 3600)
        facts = dict(probe_film(long, long.name, Limits(hours=hours + 1)).facts)
        fps, count = float(facts["avg_fps"]), int(facts["frames_expected"])
        next(decoded(film))
        before, start, seen = _resident(), time.process_time(), 0
        rows, left = [], [minutes for minutes in MINUTES if minutes <= hours * 60]
        for part in measured_film(long, facts, tables=True, stills=True):
            if isinstance(part, DecodingProgress):
                seen = part.frames
            if left and seen >= left[0] * 60 * fps:
                rows.append((f"{left.pop(0)} min", f"{seen:,}", f"{_resident() - before:,.0f}"))
        rows.append(("its end", f"{count:,}", f"{_resident() - before:,.0f}"))
    rate = count / (time.process_time() - start)
    table = write_table(("after", "frames", "MB over the start"), rows)
    return f"{film.name}, {facts['height']}p, repeated for {hours:g} hours, {rate:,.0f} frames a CPU second\n\n{table}"


def repeat(film: Path, target: Path, seconds: float) -> None:
    """Write the pictures of a film again and again, without decoding them, until they last so long."""
    with av.open(str(target), "w") as out:
        shift = 0
        stream = None
        while stream is None or stream.time_base is None or shift * stream.time_base < seconds:
            with av.open(str(film)) as container:
                source = container.streams.video[0]
                stream = stream or out.add_stream_from_template(source)
                packets = [(packet, packet.dts) for packet in container.demux(source) if packet.dts is not None]
                first = min(dts for _, dts in packets)
                end = max((packet.pts or 0) + (packet.duration or 0) for packet, _ in packets)
                for packet, dts in packets:
                    packet.pts, packet.dts = (packet.pts or 0) + shift - first, dts + shift - first
                    packet.stream = stream
                    out.mux(packet)
                shift += end - first


def measure(film: Path, work: int) -> tuple[float, int, float]:
    """CPU seconds, frames, and growth of the memory in MB of one piece of work, on one thread of the decoder."""
    warmed_up()
    facts = dict(probe_film(film, film.name, Limits()).facts)
    next(decoded(film))
    before, start = _peak(), time.process_time()
    frames = sum(1 for _ in _work(film, facts, work)) if work == 0 else _count(film, facts, work)
    return time.process_time() - start, frames, _peak() - before


def warmed_up() -> None:
    """Compile what is compiled, and let OpenCV use one thread."""
    import cv2

    cv2.setNumThreads(1)
    for _ in warm_up():
        pass


def _resident() -> float:
    """Memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _count(film: Path, facts: dict[str, object], work: int) -> int:
    for _ in _work(film, facts, work):
        pass
    return int(str(facts["frames_expected"]))


def _work(film: Path, facts: dict[str, object], work: int) -> Iterator[object]:
    if work == 0:
        yield from decoded(film)
    else:
        yield from measured_film(film, facts, tables=True, stills=work == 2)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
