"""The processes of ``scale.py`` for one number of rows: each step in one of its own, whose peak memory is then its own.

Belongs here: starting and measuring them. Does not belong here: the data (``scale_lake.py``), the steps that are timed inside a
process (``scale_steps.py``), limits and the report (``scale_report.py``). Imports only the standard library: a child's peak
memory starts at that of its parent.
"""

import json
import os
import re
import shutil
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import processes
from scale_project import copy_project

ROOT = Path(__file__).parents[1]
DATASET = "scale"
CARE_LIMIT = 1_000_000
"""Number of samples up to which `arot gc`, `verify` and `diff` are measured: `verify` reads every byte of the store."""
HAND, WIDE, POLARS = (
    "10 metrics, 3 filters, joined by hand",
    f"10 metrics, 3 filters, `{DATASET}.wide`",
    "the same in polars, streamed",
)
BARE_WALK = "bare walk of the same files: scandir and stat"
STATUS, RUN = "`arot status`", "`arot run`, nothing to do"
WALK = [sys.executable, str(Path(__file__).with_name("walk_steps.py")), "scandir"]
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
        note: the outcome.
    """

    what: str
    seconds: float
    cpu: float
    mib: float
    note: str = ""


class Bench:
    """The measurements for one number of rows, in one working folder."""

    def __init__(self, work: Path, rows: int, rounds: int) -> None:
        self.work, self.rows, self.rounds = work, rows, rounds
        self.lake = work / f"lake-{rows}"
        self.departed = work / f"lake-{rows}-departed"
        self.source = work / f"source-{rows}"
        self.project = work / f"project-{rows}"
        self.lines: list[Measured] = []

    def line(self, what: str) -> Measured | None:
        """What was measured of a step."""
        return next((line for line in self.lines if line.what == what), None)

    def make(self) -> None:
        """Create the data, unless an earlier call has created it."""
        done = self.work / f"made-{self.rows}"
        if done.exists():
            return
        for folder in (self.lake, self.departed, self.source, self.source.with_name(f"{self.source.name}-originals")):
            shutil.rmtree(folder, ignore_errors=True)
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
        for lake, suffix in ((self.lake, ""), (self.departed, ", 1 % of the objects gone")):
            self._add(f"samples and one metric, one filter{suffix}", "one_metric", lake)
            if lake == self.departed:
                self._add(f"{HAND}{suffix}", "join_explicit", lake)
                self._add(f"{WIDE}{suffix}", "join_wide", lake)

    def joins(self) -> None:
        """The join beside polars: a round is all three ways in turns, each in a new process with the same number of threads; the
        first round fills the page cache and does not count."""
        ways = {HAND: "join_explicit", WIDE: "join_wide", POLARS: "join_polars"}
        found: dict[str, list[Measured]] = {what: [] for what in ways}
        for turn in range(self.rounds + 1):
            order = list(ways)[turn % len(ways) :] + list(ways)[: turn % len(ways)]
            for what in order:
                found[what].append(self._step(ways[what], self.lake, 1))
        notes = {times[0].note for times in found.values()}
        if len(notes) != 1:
            raise SystemExit(f"the ways do not give the same rows: {notes}")
        for what, times in found.items():
            self._say(replace(middle(what, times[1:]), note=times[0].note))

    def commands(self) -> None:
        """The commands, in processes as users start them."""
        shutil.rmtree(self.work / f"dagster-{self.rows}", ignore_errors=True)
        copy_project(self.project, self.source, DATASET)
        self._say(middle(STATUS, [self._process(self._arot("status", DATASET))[0] for _ in range(self.rounds)]))
        first, output = self._process(self._arot("run", DATASET))
        print(
            f"  first `arot run`, not counted ({first.seconds:.1f} s): builds the SQL models\n{output.rstrip()}",
            flush=True,
        )
        before = self._files()
        walk, run = [], []
        for _ in range(self.rounds):  # in turn: the machine may be noisy
            walk.append(self._process([*WALK, str(self.source)])[0])
            found, output = self._process(self._arot("run", DATASET))
            if "nothing to do" not in output:
                raise SystemExit(f"a run with nothing to do found something:\n{output}")
            run.append(found)
        watched = self._process(self._arot("run", DATASET, code=WATCHED, first=str(self.source)))[1]
        if "nothing to do" not in watched or "opened 0 files of the source" not in watched:
            raise SystemExit(f"a run with nothing to do opened files:\n{watched}")
        if self._files() != before:
            raise SystemExit("a run with nothing to do wrote a table of samples, of a metric or of a model")
        bare, ours = middle(BARE_WALK, walk), middle(RUN, run)
        note = f"{ours.cpu / bare.cpu:.1f} x the CPU of the bare walk; opened no file, wrote no table"
        self._say(bare)
        self._say(replace(ours, note=note))

    def care(self) -> None:
        """The commands that look after a store; `commands` comes before."""
        project = self.project / "dbt_like_sql" / "dbt_project.yml"
        project.write_text(re.sub(r"min_sharpness: \d+", "min_sharpness: 300", project.read_text()))
        self._process(self._arot("run", DATASET))  # the subset has a version before this one now
        for what, *arguments in (
            ("`arot diff`, two versions of a subset", "diff", "clean"),
            ("`arot diff`, a version and the tables of now", "diff", "clean", "previous", "now"),
            ("`arot gc`, eight tables that nothing declares", "gc"),
            ("`arot verify`, everything", "verify", DATASET),
            ("`arot verify --share 0.05`", "verify", DATASET, "--share", "0.05"),
        ):
            found, output = self._process(self._arot(*arguments))
            told = [line.strip() for line in output.splitlines() if line.strip()]
            self._say(replace(found, what=what, note=told[0] if arguments[0] == "diff" else told[-1]))

    def _add(self, what: str, step: str, lake: Path) -> None:
        self._say(replace(self._step(step, lake, self.rounds), what=what))

    def _say(self, line: Measured) -> None:
        self.lines.append(line)
        print(f"  {line.what}: {line.seconds:.2f} s (CPU {line.cpu:.2f}), {line.mib:,.0f} MiB {line.note}", flush=True)

    def _step(self, step: str, lake: Path, repeat: int, *more: str) -> Measured:
        script = str(Path(__file__).with_name("scale_steps.py"))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": str(os.cpu_count())}
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
        folder = self.project if self.project.exists() else self.work
        ended = processes.run(command, environment or own, folder)
        return Measured("", ended.seconds, ended.cpu, ended.mib), ended.text

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
