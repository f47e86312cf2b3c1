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

from arot_assets.markdown import write_table
from arot_assets.media.medium import Limits
from arot_assets.media.video.decode import decoded
from arot_assets.media.video.film import measured_film, warm_up
from arot_assets.media.video.probe import probe_film

WORK = ("decode only", "the whole pass", "the whole pass with stills in RGB")
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
        print(*measure(arguments.films[0], arguments.work))
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


def measure(film: Path, work: int) -> tuple[float, int, float]:
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
    else:
        yield from measured_film(film, facts, tables=True, stills=work == 2)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
