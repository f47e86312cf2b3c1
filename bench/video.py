"""What does one decode of a film cost, beside decoding alone? CPU time and memory of the whole pass.

Belongs here: the comparison and its report. Does not belong here: how well boundaries are found (``shots.py``).
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from arot_assets.markdown import write_table
from arot_assets.media.medium import Limits
from arot_assets.media.video.clip_file import Cut, Settings
from arot_assets.media.video.cut import cut_film
from arot_assets.media.video.decode import decoded
from arot_assets.media.video.film import measured_film, warm_up
from arot_assets.media.video.probe import probe_film

WORK = ("decode only", "the whole pass", "the whole pass with stills in RGB", "cut into clips of 2 s")
EPILOG = """
CPU seconds are of all threads of the process; rounds are interleaved, and only ratios within one run mean anything on a
machine that does other work.

example:
  python bench/video.py film_720p.mp4 film_1080p.mp4 --rounds 3
"""


def main() -> None:
    """Measure each film, each piece of work in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is not None:
        print(*one(arguments.films[0], arguments.work))
        return
    rows = []
    for film in arguments.films:
        facts = probe_film(film, film.name, Limits()).facts
        found: dict[int, list[tuple[float, ...]]] = {}
        for _ in range(arguments.rounds):
            for work in range(len(WORK)):
                command = [sys.executable, __file__, str(film), "--work", str(work)]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                found.setdefault(work, []).append(tuple(map(float, told)))
        alone = median(seconds for seconds, _, _ in found[0])
        for work, times in found.items():
            seconds, frames, grown = (median(values) for values in zip(*times, strict=True))
            size = f"{facts['height']}p"
            rate, share = f"{frames / seconds:,.0f}", f"{alone / seconds:.0%}"
            rows.append((film.name, size, WORK[work], rate, share, f"{grown:,.0f}"))
    print(write_table(("film", "size", "work", "frames a CPU second", "of decode only", "MB over the start"), rows))
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f} (one minute); {arguments.rounds} rounds, medians.")


def one(film: Path, work: int) -> tuple[float, int, float]:
    """CPU seconds, frames, and growth of the memory in MB of one piece of work, on one thread of the decoder."""
    import cv2

    cv2.setNumThreads(1)
    for _ in warm_up():
        pass
    facts = dict(probe_film(film, film.name, Limits()).facts)
    next(decoded(film))
    before, start = _peak(), time.process_time()
    frames = sum(1 for _ in _work(film, facts, work)) if work == 0 else _count(film, facts, work)
    return time.process_time() - start, frames, _peak() - before


def _count(film: Path, facts: dict[str, object], work: int) -> int:
    for _ in _work(film, facts, work):
        pass
    return int(str(facts["frames_expected"]))


def _work(film: Path, facts: dict[str, object], work: int) -> Iterator[object]:
    if work == 0:
        yield from decoded(film)
    elif work in (1, 2):
        yield from measured_film(film, facts, tables=True, stills=work == 2)
    else:
        yield from _clips(film, facts)


def _clips(film: Path, facts: dict[str, object]) -> Iterator[object]:
    import tempfile

    pts = np.linspace(int(str(facts["first_pts"])), int(str(facts["end_pts"])), int(str(facts["frames_expected"])) + 1)
    length = max(1, round(2 * float(str(facts["median_fps"]))))
    cuts = [
        Cut(str(n), n, min(n + length, len(pts) - 1), int(pts[n]), int(pts[min(n + length, len(pts) - 1)]), ())
        for n in range(0, len(pts) - 1, length)
    ]
    with tempfile.TemporaryDirectory() as folder:
        yield from cut_film(film, facts, cuts, Settings(), Path(folder))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
