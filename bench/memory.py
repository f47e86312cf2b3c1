"""How much memory does a run take? `arot run` over a folder of images, from listing to tables, observed from outside.

Belongs here: the runs, the monitoring and the report. Does not belong here: the copy of the project
(``scale_project.py``). Imports only the standard library: a child's peak memory starts at that of its parent.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import results
from scale_project import copy_project

from arot_assets.markdown import write_table

METRICS = "cv2, phash, embedding"
LIMIT_MB = 1200
GIVEN_MB = "1100"
"""``AROT_MEMORY_MB`` of the runs, unless it is set: the default follows the machine, which would measure that."""
HEAD = ("shard size", "peak, MB", "own memory, MB", "resident in the quarters of the pass, MB", "seconds")
GIB = 2**30
GROUPS = Path("/sys/fs/cgroup")
EVERY_SECONDS = 0.1
PARTS = 4
EPILOG = f"""
what is measured, for each shard size in a fresh copy of the project:
  peak         VmHWM of the `arot run` process at its end: libraries, model, compiler, pixels; the limit is {LIMIT_MB} MB
  own          the peak of its private memory (RssAnon); the rest are library pages, which the kernel can drop
  quarters     median of the resident memory in each quarter of the measuring time: equal if nothing grows

The first run of a copy compiles the image kernels, which counts. Pages of libraries that another process also maps are
not dropped, so with a second PyTorch process of the same environment (`arot ui` that has run a model, tests) the peak is
up to 300 MB higher; the script reports it if there is one.

With --limit-gib each run is alone in a control group with that much memory, as in a container: the kernel kills what exceeds it.
AROT_MEMORY_MB then follows the limit, unless it is set. Control groups must be writable, of version 1 or 2.

examples:
  python bench/memory.py --limit-gib 2 ~/Pictures
  python bench/memory.py                                    the example images, a minute; adds a section to bench/RESULTS.md
  python bench/memory.py ~/Pictures --shard-sizes 5000,200
  AROT_MEMORY_MB=800 python bench/memory.py ~/Pictures --no-record
"""


@dataclass
class Sample:
    """One observation of the process, memory in bytes."""

    seconds: float
    resident: int
    own: int
    peak: int


@dataclass
class Watched:
    """A finished run; ``group`` is what its control group says, empty without one."""

    shard_size: int
    seconds: float
    samples: list[Sample]
    measuring_from: float
    output: list[str]
    group: str = ""


class Group:
    """A control group below this process's own, with a limit of memory.

    Args:
        limit: bytes.

    Raises:
        OSError: none can be made here.
    """

    def __init__(self, limit: int) -> None:
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        self._first = next((path for _, kinds, path in lines if "memory" in kinds.split(",")), None)
        unified = next((path for _, kinds, path in lines if not kinds), "/")
        top = GROUPS / "memory" / self._first.lstrip("/") if self._first is not None else GROUPS / unified.lstrip("/")
        self._folder = top / f"arot-{os.getpid()}"
        self._folder.mkdir()
        (self._folder / self._name("memory.limit_in_bytes", "memory.max")).write_text(str(limit))

    def join(self) -> None:
        """Put this process into it."""
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))

    def told(self) -> str:
        """Its peak, pages of files included, and how many processes were killed for memory."""
        peak = int((self._folder / self._name("memory.max_usage_in_bytes", "memory.peak")).read_text())
        events = (self._folder / self._name("memory.oom_control", "memory.events")).read_text().split()
        return f"{peak / 2**20:,.0f} MiB, {events[events.index('oom_kill') + 1]} killed"

    def remove(self) -> None:
        """Remove it, once all its processes have ended."""
        self._folder.rmdir()

    def _name(self, first: str, second: str) -> str:
        return first if self._first is not None else second


def look(pid: int, seconds: float) -> Sample | None:
    """What the kernel reports about a process; None if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = {name: int(rest.split()[0]) * 1024 for name, _, rest in (x.partition(":") for x in lines) if "kB" in rest}
    return Sample(seconds, found["VmRSS"], found["RssAnon"], found["VmHWM"]) if "VmRSS" in found else None


def torch_elsewhere() -> int:
    """Other processes with PyTorch loaded from this environment."""
    count = 0
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            count += f"{sys.prefix}/" in (text := maps.read_text()) and "libtorch_cpu" in text
        except OSError:  # it ended, or belongs to another user
            continue
    return count


def watch(project: Path, shard_size: int, limit_gib: float | None = None) -> Watched:
    """Run `arot run demo` in a project, with so much memory."""
    group = Group(int(limit_gib * GIB)) if limit_gib else None
    given = {"AROT_MEMORY_MB": GIVEN_MB} if group is None else {}
    try:
        run = _watch(project, shard_size, given, group.join if group is not None else None)
        run.group = group.told() if group is not None else ""
    finally:
        if group is not None:
            group.remove()
    return run


def _watch(project: Path, shard_size: int, given: dict[str, str], join: Callable[[], None] | None) -> Watched:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AROT_", "DAGSTER_")) or k == "AROT_MEMORY_MB"}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "arot_assets.cli", "run", "demo"],
        cwd=project,
        env={**given, **kept, "PYTHONPATH": str(project)},
        preexec_fn=join,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output: list[str] = []
    begun: list[float] = []

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line.rstrip())
            if METRICS.split(", ")[-1] in line and not begun:  # the title of the first pass over images
                begun.append(time.monotonic() - started)

    listener = threading.Thread(target=listen)
    listener.start()
    samples = []
    while process.poll() is None:
        sample = look(process.pid, time.monotonic() - started)
        samples += [sample] if sample else []
        time.sleep(EVERY_SECONDS)
    listener.join()
    if process.returncode or not begun:
        raise SystemExit("\n".join([*output, f"`arot run` ended with status {process.returncode}: see above"]))
    return Watched(shard_size, time.monotonic() - started, samples, begun[0], output)


def row(run: Watched) -> tuple[str, ...]:
    """One line of the table, below ``HEAD``."""
    images = [s for s in run.samples if s.seconds >= run.measuring_from]
    size = max(1, len(images) // PARTS)
    quarters = [statistics.median(s.resident for s in images[k * size : (k + 1) * size or None]) for k in range(PARTS)]
    peak, own = run.samples[-1].peak, max(s.own for s in run.samples)
    middle = " / ".join(f"{q / 1e6:,.0f}" for q in quarters)
    whole = f"**{peak / 1e6:,.0f}** ({peak / 2**20:,.0f} MiB)"
    return f"{run.shard_size:,}", whole, f"{own / 1e6:,.0f}", middle, f"{run.seconds:,.0f}"


def report(source: Path, runs: list[Watched], crowd: int, limit_gib: float | None) -> str:
    """The section for RESULTS.md."""
    limit = os.environ.get("AROT_MEMORY_MB", GIVEN_MB if limit_gib is None else "by the machine")
    held = (
        f"control group of {limit_gib:g} GiB: {'; '.join(r.group for r in runs)}"
        if limit_gib
        else f"limit {LIMIT_MB:,} MB"
    )
    lines = [
        f"`python bench/memory.py`: `arot run` with {METRICS} over {images_in(source)}, VmHWM of the process, "
        f"{held}, AROT_MEMORY_MB={limit}; MB are 10^6 bytes. "
        + (f"{crowd} other processes had PyTorch loaded: too high. " if crowd else "")
        + "Each run starts from nothing: it lists, compiles the kernels, loads the model.",
        "",
        write_table(HEAD, map(row, runs)),
    ]
    return "\n".join(lines)


def images_in(source: Path) -> str:
    """The number of files, and their size."""
    sizes = [p.stat().st_size for p in source.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")]
    return f"{len(sizes):,} images ({sum(sizes) / 1e6:,.0f} MB) in `{source.name}`"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    examples = Path(__file__).parents[1] / "examples" / "images"
    parser.add_argument(
        "images", nargs="?", type=Path, default=examples, help="folder of images (default: the examples)"
    )
    parser.add_argument("--shard-sizes", default="5000", help="one run for each, comma separated (default 5000)")
    parser.add_argument("--limit-gib", type=float, help="memory of each run, enforced by a control group")
    parser.add_argument("--no-record", action="store_true", help="print only, leave bench/RESULTS.md alone")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    source = options.images.resolve()
    if not source.is_dir():
        raise SystemExit(f"no folder {source}")
    crowd, runs = 0, []
    for size in map(int, options.shard_sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="arot-memory-") as folder:
            project = Path(folder)
            copy_project(project, source, "demo")
            shutil.rmtree(project / "dbt_like_sql" / "models")
            (project / "arot_assets" / "defs" / "datasets" / "demo" / "defs.yaml").write_text(
                "type: arot_assets.components.ImageDataset\n"
                f"attributes: {{name: demo, source: '{source}', metrics: [{METRICS}], shard_size: {size}, settle_seconds: 0}}\n"
            )
            print(f"shards of {size:,}: {source}", flush=True)
            crowd = max(crowd, torch_elsewhere())
            runs.append(watch(project, size, options.limit_gib))
        print(row(runs[-1]), flush=True)
    text = report(source, runs, crowd, options.limit_gib)
    print("\n" + text)
    if not options.no_record:
        print(f"added to {results.append('Memory of a run', text)}")


if __name__ == "__main__":
    main()
