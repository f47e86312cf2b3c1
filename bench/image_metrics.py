"""How fast are image metrics? Decoding only, ours and procslib 0.7.1, in turn, on the same files and the same cores.

Belongs here: the rounds, the ratios and the report. Does not belong here: the images (``photo_sets.py``).
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from photo_sets import ABOUT, photo_set
from results import append

from arot_assets.markdown import write_table
from arot_assets.media.file import Limits
from arot_assets.media.image.decode import decode
from arot_assets.media.image.medium import IMAGE
from arot_assets.media.image.probe import probe
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.one_pass import Item, MeasurementFailure, one_pass
from arot_assets.metrics.registry import get_metric
from resources.parallel import ordered_map

ROOT = Path(__file__).parents[1]
PEER = ["procslib==0.7.1", "unibox==0.12.0", "scikit-image", "requests", "opencv-python", "pandas"]
EPILOG = """
what is timed, in images per second, medians of interleaved rounds; the ratio to decode-only is also given in CPU time,
which other work on the machine hardly affects:
  decode-only  read the file and decode it: no metric can be faster
  ours         read, SHA-256, header probe, one decode, the metrics cv2 (20 columns) and phash (one_pass, the real pass)
  procslib     its cv2 metrics (8 columns), in a separate environment that the first run installs

sets:
  A            32 photos of 1536 x 1024, JPEG q90
  B            6 mosaics of photos, 8 to 24 MP, JPEG q90

examples:
  python bench/image_metrics.py                       about three minutes; adds a section to bench/RESULTS.md
  python bench/image_metrics.py --sets A --rounds 3 --no-record
  python bench/image_metrics.py ~/Pictures --work /tmp/bench

The machine should be idle. Compare ratios inside one run, not rates between runs.
"""


@dataclass(frozen=True)
class Spent:
    """The duration of a round, in seconds: wall time, and CPU time of all threads (None if unknown)."""

    wall: float
    cpu: float | None = None


class Watch:
    """A stopwatch, started when it is created."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def spent(self) -> Spent:
        return Spent(time.perf_counter() - self.wall, time.process_time() - self.cpu)


class Procslib:
    """procslib in a separate process, so that neither its imports nor its start are timed."""

    def __init__(self, work: Path, threads: int) -> None:
        python = work / "procslib" / "bin" / "python"
        done = work / "procslib" / ".installed"
        if not done.exists():
            print(f"installing {PEER[0]} into {python.parents[1]} (once, about a minute)")
            subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER], check=True)
            done.touch()
        worker = [str(python), str(Path(__file__).with_name("procslib_worker.py"))]
        self.process = subprocess.Popen(
            [*worker, sysconfig.get_path("purelib"), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._answer() != "ready":
            raise SystemExit("procslib did not start: see its traceback above, or run with --no-procslib")

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def seconds(self, files: list[Path]) -> Spent:
        """Time of ``infer_many``, including its pool of processes, called as its users do."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(f) for f in files]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self._answer())
        if answer["failed"] or answer["rows"] != len(files):
            raise SystemExit(f"procslib failed on {answer['failed']} of {len(files)} files: not comparable")
        return Spent(float(answer["seconds"]))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def read_and_probe(uri: str) -> bytes:
    data = Path(uri).read_bytes()
    probe(data, uri)
    return data


def decode_seconds(files: list[Path], threads: int) -> Spent:
    watch = Watch()
    for _ in ordered_map(lambda f: decode(f.read_bytes()).shape, files, threads):
        pass
    return watch.spent()


def our_seconds(files: list[Path], metrics: dict[str, Metric], threads: int) -> Spent:
    ids = {f: hashlib.sha256(f.read_bytes()).hexdigest()[:32] for f in set(files)}
    items = [Item(ids[f], str(f), frozenset(metrics), facts={}) for f in files]
    watch = Watch()
    rows = list(one_pass(items, metrics, read_and_probe, {}, medium=IMAGE, limits=Limits(), threads=threads))
    spent = watch.spent()
    failed = [r.result.reason for r in rows if isinstance(r.result, MeasurementFailure)]
    if failed or len(rows) != len(files) * len(metrics):
        raise SystemExit(f"ours failed on {len(failed)} rows: {failed[:1]}")
    return spent


def measure(files: list[Path], rounds: int, threads: int, repeat: int, peer: Procslib | None) -> dict[str, list[Spent]]:
    """Seconds per image for each contender and round. The two fast ones read the files ``repeat`` times per round."""
    metrics = {name: get_metric(name) for name in ("cv2", "phash")}
    many = files * repeat
    contenders: dict[str, tuple[int, Callable[[], Spent]]] = {
        "decode-only": (len(many), lambda: decode_seconds(many, threads)),
        "ours": (len(many), lambda: our_seconds(many, metrics, threads)),
    }
    if peer is not None:
        contenders["procslib"] = (len(files), lambda: peer.seconds(files))
    decode_seconds(files, threads)  # files into the page cache, decoders loaded
    our_seconds(files[:2], metrics, threads)  # kernels compiled or loaded
    found: dict[str, list[Spent]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, (count, run) in contenders.items():
            all_of_them = run()
            found[name].append(Spent(all_of_them.wall / count, all_of_them.cpu and all_of_them.cpu / count))
        rates = ", ".join(f"{name} {1 / spent[-1].wall:.1f}/s" for name, spent in found.items())
        print(f"  round {number}/{rounds}: {rates}", flush=True)
    return found


def report(results: dict[str, dict[str, list[Spent]]], threads: int, rounds: int, load: float) -> str:
    """Medians over the rounds; a ratio is the median of the rounds' own ratios, so that a busy round counts only
    once."""
    lines = [
        f"{threads} threads on as many cores; numba {version('numba')}, OpenCV {version('opencv-python')}, "
        f"simplejpeg {version('simplejpeg')}; images/s, medians of {rounds} interleaved rounds, files in the page cache; "
        f"load average {load:.1f} before the start.",
        "",
    ]
    table = []
    for name, found in results.items():
        ours, decoded = found["ours"], found["decode-only"]
        wall = statistics.median(d.wall / o.wall for d, o in zip(decoded, ours, strict=True))
        cpu = statistics.median((d.cpu or 0) / (o.cpu or 1) for d, o in zip(decoded, ours, strict=True))
        theirs, times = "–", "–"
        if "procslib" in found:
            theirs = f"{_rate(found['procslib']):.2f}"
            ratio = statistics.median(p.wall / o.wall for p, o in zip(found["procslib"], ours, strict=True))
            times = f"{ratio:.1f} x"
        rates = (f"{_rate(decoded):.1f}", f"{_rate(ours):.1f}", theirs)
        table.append((f"{name}: {ABOUT[name]}", *rates, f"{wall:.0%}", f"{cpu:.0%}", times))
    head = ("set", "decode-only", "ours: SHA-256, probe, decode, cv2, phash", "procslib 0.7.1 cv2")
    ratios = ("ours / decode", "of CPU time", "ours / procslib")
    return "\n".join([*lines, write_table((*head, *ratios), table)])


def _rate(spent: list[Spent]) -> float:
    """Images per second, the median of the rounds."""
    return statistics.median(1 / s.wall for s in spent)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = ROOT / "examples" / "images" / "photo"
    parser.add_argument(
        "photos", nargs="?", type=Path, default=default, help="folder of photos (default: the examples)"
    )
    parser.add_argument("--sets", default="A,B", help="which sets, comma separated (default A,B)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each set (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="threads and cores (default 2)")
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".arot" / "bench", help="where images and procslib are kept"
    )
    parser.add_argument("--no-procslib", action="store_true", help="time only decoding and ours")
    parser.add_argument("--no-record", action="store_true", help="print only, leave bench/RESULTS.md alone")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    load = os.getloadavg()[0]
    cores = sorted(os.sched_getaffinity(0))[: options.threads]
    os.sched_setaffinity(0, cores)  # procslib's processes inherit it
    key = hashlib.sha256(str(options.photos.resolve()).encode()).hexdigest()[:8]
    sets = {n: photo_set(n, options.photos, options.work / f"photos-{key}") for n in options.sets.split(",")}
    peer = None if options.no_procslib else Procslib(options.work, options.threads)
    results = {}
    for name, files in sets.items():
        print(f"set {name}: {ABOUT[name]}; {options.threads} threads on cores {cores}")
        repeat = max(1, (256 if name == "A" else 24) // len(files))
        results[name] = measure(files, options.rounds, options.threads, repeat, peer)
    if peer is not None:
        peer.close()
    text = report(results, options.threads, options.rounds, load)
    print("\n" + text)
    if not options.no_record:
        print(f"added to {append('Image metrics', text)}")


if __name__ == "__main__":
    main()
