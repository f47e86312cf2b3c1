"""How does it scale? Inventory, catalogue, joins, `arot status` and a no-change `arot run` over millions of samples.

Belongs here: the processes, the limits and the report. Does not belong here: the data (``scale_lake.py``), the project
whose commands are timed (``scale_project.py``), the steps that are timed inside a process (``scale_steps.py``). Imports
only the standard library: a child's peak memory starts at that of its parent.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import results
from scale_project import copy_project

from arot_assets.markdown import write_table

ROOT = Path(__file__).parents[1]
MIB = 2**20
DATASET = "scale"
FILES_LIMIT = 1_000_000
RUN_SECONDS, RUN_MIB = 10.0, 1200.0
EPILOG = """
what is measured, each in a separate process: wall time (median) and peak memory
  inventory    read, write, compare with an unchanged listing and with one of 1 % new, 1 % changed, 1 % gone
  catalogue    a new catalog.duckdb and a connection with all views, over samples and 10 metric tables
  joins        10 metrics with three filters, written out, through <dataset>.wide, and in polars over the same files; again
               with 1 % of the objects gone
  arot status  the command, as users start it
  arot run     the command with nothing to do, over as many real files (up to 1 M; hard links to a few small images), with
               the metrics cv2 and phash and the SQL models of dbt_like_sql; beside it a bare walk (scandir and stat) of the
               same folder. One more run is monitored: it must open no file of the source and change no table.

Tables are synthetic, in shards of 5,000, with the schemas and footers of real ones. A limit is shown beside a number if there
is one. 1 M rows need 1 GB of disk and about 3 minutes, 5 M rows 5 GB and 10 minutes, most of it for creating the data.

examples:
  python bench/scale.py                              1 M and 5 M; adds a section to bench/RESULTS.md
  python bench/scale.py --rows 100k --no-record      a quick check
  python bench/scale.py --work /big/disk --keep      the data is kept there, and reused by the next call

The machine should be idle. Compare ratios inside one run, not seconds between machines.
"""

WALK = """
import os, sys
count, folders = 0, [sys.argv[1]]
while folders:
    with os.scandir(folders.pop()) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                count += entry.stat().st_size >= 0
print(count)
"""
COMMAND = "from arot_assets.cli import main; main()"
WATCHED = """
import os, sys
folder, opened = sys.argv.pop(1), []


def watch(event, args):
    if event == "open" and str(args[0]).startswith(folder) and not args[2] & os.O_DIRECTORY:
        opened.append(args[0])


sys.addaudithook(watch)
from arot_assets.cli import main
try:
    main()
finally:
    print(f"opened {len(opened)} files of the source")
"""


@dataclass(frozen=True)
class Measured:
    """One line of the report.

    Attributes:
        what: the step.
        seconds: wall time, a median.
        cpu: CPU time of all threads, a median: less affected by a busy machine.
        mib: peak memory of its process.
        limit: the limit for the number, empty if there is none.
        note: the outcome.
    """

    what: str
    seconds: float
    cpu: float
    mib: float
    limit: str = ""
    note: str = ""


class Bench:
    """The measurements for one number of rows, in one working folder."""

    def __init__(self, work: Path, rows: int) -> None:
        self.work, self.rows = work, rows
        self.lake = work / f"lake-{rows}"
        self.departed = work / f"lake-{rows}-departed"
        self.source = work / f"source-{rows}"
        self.project = work / f"project-{rows}"
        self.lines: list[Measured] = []

    def make(self) -> None:
        """Create the data, unless an earlier call has created it."""
        done = self.work / f"made-{self.rows}"
        if done.exists():
            return
        for folder in (self.lake, self.departed, self.source, self.source.with_name(f"{self.source.name}-originals")):
            shutil.rmtree(folder, ignore_errors=True)
        if self.rows <= FILES_LIMIT:
            seconds = self._step("make_source", self.lake, 1, str(ROOT / "examples" / "images")).seconds
            print(f"  {self.rows:,} files made in {seconds:.0f} s (not counted)", flush=True)
        seconds = self._step("make_lakes", self.lake, 1).seconds
        print(f"  tables of {self.rows:,} samples made in {seconds:.0f} s (not counted)", flush=True)
        done.touch()

    def tables(self) -> None:
        """Everything below the command line."""
        for step, what in (
            ("read_inventory", "inventory: read"),
            ("write_inventory", "inventory: write"),
            ("plan_same", "inventory: compare, nothing changed"),
            ("plan_mixed", "inventory: compare, 1 % new, changed, gone"),
            ("refresh", "catalogue: `Warehouse.refresh`"),
            ("connect", "catalogue: connection with all views"),
        ):
            self._add(what, step, self.lake)
        limit = "2.5 s, 400 MB at 5 M"
        for lake, suffix in ((self.lake, ""), (self.departed, ", 1 % of the objects gone")):
            self._add(f"samples and one metric, one filter{suffix}", "one_metric", lake)
            self._add(f"10 metrics, 3 filters, joined by hand{suffix}", "join_explicit", lake, limit)
            self._add(f"10 metrics, 3 filters, `{DATASET}.wide`{suffix}", "join_wide", lake, limit)
            if lake == self.lake:
                self._add("10 metrics, 3 filters, polars over the same files, streamed", "join_polars", lake)

    def commands(self) -> None:
        """The commands, in processes as users start them."""
        shutil.rmtree(self.work / f"dagster-{self.rows}", ignore_errors=True)
        copy_project(self.project, self.source, DATASET)
        self._say(middle("`arot status`", [self._process(self._arot("status", DATASET))[0] for _ in range(3)]))
        if self.rows > FILES_LIMIT:
            return
        first, output = self._process(self._arot("run", DATASET))
        print(
            f"  first `arot run`, not counted ({first.seconds:.1f} s): builds the SQL models\n{output.rstrip()}",
            flush=True,
        )
        before = self._files()
        walk, run = [], []
        for _ in range(3):  # in turn: the machine may be noisy
            walk.append(self._process([sys.executable, "-c", WALK, str(self.source)])[0])
            found, output = self._process(self._arot("run", DATASET))
            if "nothing to do" not in output:
                raise SystemExit(f"a run with nothing to do found something:\n{output}")
            run.append(found)
        watched = self._process(self._arot("run", DATASET, code=WATCHED, first=str(self.source)))[1]
        if "nothing to do" not in watched or "opened 0 files of the source" not in watched:
            raise SystemExit(f"a run with nothing to do opened files:\n{watched}")
        if self._files() != before:
            raise SystemExit("a run with nothing to do wrote a table of samples, of a metric or of a model")
        bare, ours = (
            middle("bare walk of the same files: scandir and stat", walk),
            middle("`arot run`, nothing to do", run),
        )
        held = "held" if ours.seconds <= RUN_SECONDS and ours.mib <= RUN_MIB else "MISSED"
        note = f"{ours.seconds / bare.seconds:.1f} x the bare walk; opened no file, wrote no table"
        self._say(bare)
        self._say(replace(ours, limit=f"{RUN_SECONDS:.0f} s, {RUN_MIB:,.0f} MiB: {held}", note=note))

    def _add(self, what: str, step: str, lake: Path, limit: str = "") -> None:
        self._say(replace(self._step(step, lake, 3), what=what, limit=limit))

    def _say(self, line: Measured) -> None:
        self.lines.append(line)
        print(f"  {line.what}: {line.seconds:.2f} s (CPU {line.cpu:.2f}), {line.mib:,.0f} MiB {line.note}", flush=True)

    def _step(self, step: str, lake: Path, repeat: int, *more: str) -> Measured:
        script = str(Path(__file__).with_name("scale_steps.py"))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, script, step, str(lake), str(self.source), str(self.rows), str(repeat), *more]
        found, output = self._process(command, environment)
        answer = json.loads(output.splitlines()[-1])
        wall, cpu = (statistics.median(times) for times in zip(*answer["seconds"], strict=True))
        return Measured(step, wall, cpu, found.mib, note=answer["note"])

    def _process(self, command: list[str], environment: dict[str, str] | None = None) -> tuple[Measured, str]:
        """Run a process to its end: its wall time, its peak memory, its output.

        Raises:
            SystemExit: it failed.
        """
        own = {
            **os.environ,
            "PYTHONPATH": str(self.project),
            "AROT_STORE": str(self.lake),
            "DAGSTER_HOME": str(self.work / f"dagster-{self.rows}"),
        }
        with tempfile.TemporaryFile("w+") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                command,
                env=environment or own,
                cwd=self.project if self.project.exists() else self.work,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read()
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)[:300]} ended with {process.returncode}:\n{text}")
        unit = 1 if sys.platform == "darwin" else 1024
        return Measured("", seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / MIB), text

    def _arot(self, *arguments: str, code: str = COMMAND, first: str | None = None) -> list[str]:
        return [sys.executable, "-c", code, *([first] if first else []), *arguments]

    def _files(self) -> dict[str, int]:
        """Every table of samples, metrics and models, with its modification time."""
        folders = [p for p in (self.lake / "datasets" / DATASET).iterdir() if p.is_dir()] + [self.lake / "models"]
        return {str(p): p.stat().st_mtime_ns for f in folders for p in sorted(f.glob("*.parquet"))}


def middle(what: str, found: list[Measured]) -> Measured:
    """Median times and the highest peak of several runs of the same process."""
    wall, cpu = statistics.median(m.seconds for m in found), statistics.median(m.cpu for m in found)
    return Measured(what, wall, cpu, max(m.mib for m in found))


def report(benches: list[Bench]) -> str:
    """The tables for RESULTS.md."""
    parts = [
        "Synthetic tables, shards of 5,000; medians of 3, files in the page cache; peak memory of a separate process. "
        "Times of tables exclude the start of Python and imports, times of commands include them. CPU seconds are those of "
        f"all threads. Load average at the end: {os.getloadavg()[1]:.1f} (five minutes)."
    ]
    for bench in benches:
        parts += ["", f"**{bench.rows:,} samples, {-(-bench.rows // 5000):,} shards**", ""]
        rows = [(m.what, f"{m.seconds:.2f}", f"{m.cpu:.2f}", f"{m.mib:,.0f}", m.limit, m.note) for m in bench.lines]
        parts.append(write_table(("step", "seconds", "CPU s", "peak MiB", "limit", "what came out"), rows))
    return "\n".join(parts)


def number(text: str) -> int:
    """``100k`` -> 100,000; ``5M`` -> 5,000,000."""
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    return int(text.rstrip("kKmM")) * factor


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="1M,5M", help="numbers of samples, comma-separated (default 1M,5M)")
    parser.add_argument("--work", type=Path, help="where the data is made (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true", help="keep the data there; a later call with --work reuses it")
    parser.add_argument("--no-record", action="store_true", help="print only, leave bench/RESULTS.md alone")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    work = (options.work or Path(tempfile.mkdtemp(prefix="arot-scale-"))).absolute()
    work.mkdir(parents=True, exist_ok=True)
    benches = [Bench(work, number(text)) for text in options.rows.split(",")]
    print(f"{results.machine()}; data below {work}")
    try:
        for bench in benches:
            print(f"{bench.rows:,} samples", flush=True)
            bench.make()
            bench.tables()
            bench.commands()
    finally:
        if not options.keep:
            for bench in benches:
                for path in work.glob(f"*-{bench.rows}*"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            if options.work is None:
                work.rmdir()
    text = report(benches)
    print(f"\n{text}")
    if not options.no_record:
        print(f"\nadded to {results.append('Scale', text).relative_to(ROOT)}")


if __name__ == "__main__":
    main()
