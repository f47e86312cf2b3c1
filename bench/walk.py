"""What does a source of real files cost? Listing, first registration, nothing to do, a hundred changes, `arot status`.

Belongs here: the processes and the report. Does not belong here: the steps (``walk_steps.py``), tables without files
(``scale.py``, ``scale_shards.py``). Imports little: a child's peak memory starts at that of its parent.
"""

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import processes
import results

from arot_assets.markdown import write_table

ROOT = Path(__file__).parents[1]
STEPS = Path(__file__).with_name("walk_steps.py")
DATASET, BUCKET = "walked", "walk"
DECLARATION = """type: arot_assets.components.ImageDataset
attributes:
  name: {name}
  source: {source}
  metrics: []
"""
EPILOG = """
what is measured, each in a process of its own: CPU seconds of all its threads, wall seconds, peak memory
  files  a folder of valid PNG and JPEG files of 8 x 8 pixels, each with other bytes, 1,000 a folder (4 KB of disk each)
  S3     keys in a bucket of OpenStack Swift on the same machine; they have no bytes, as listings read none

"growth" is CPU seconds an object, divided by that of the size before: 1.0 is linear, less is fixed costs.

examples:
  python bench/walk.py                                         50 k, 200 k, 1 M; adds a section to bench/RESULTS.md
  python bench/walk.py --files 20000 --keys 20000 --no-record  a quick check
"""


@dataclass(frozen=True)
class Measured:
    """One line: a step at one size.

    Attributes:
        what: the step.
        size: objects of the source.
        seconds, cpu, mib: wall time, CPU time of all threads, and peak memory.
        limit: the step that it is compared with; empty if that is itself a limit, or there is none.
    """

    what: str
    size: int
    seconds: float
    cpu: float
    mib: float
    limit: str = ""


class Bench:
    """The measurements.

    Args:
        work: an empty folder.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.lines: list[Measured] = []

    def files(self, size: int, first_run: bool) -> None:
        """A folder of real files, and the commands over it."""
        source, project = self.work / f"files-{size}", self.work / f"project-{size}"
        self._step("", size, "make", str(source), str(size))
        listed = ["-type", "f", "-fprintf", "/dev/null", "%s %T@ %p\n"]
        self._ours("bare: `find -fprintf`", size, ["find", str(source), *listed], {})
        self._step("bare: scandir and stat", size, "scandir", str(source))
        self._step("listing: storage alone", size, "storage", str(source), limit="bare: scandir and stat")
        self._step(
            "listing: as a table, sidecars looked for", size, "listing", str(source), limit="bare: scandir and stat"
        )
        if first_run:
            self._step("bare: read, SHA-256, Pillow's header", size, "read", str(source))
            self._commands(size, source, project)
        shutil.rmtree(source)
        shutil.rmtree(project, ignore_errors=True)

    def _commands(self, size: int, source: Path, project: Path) -> None:
        """`arot` over the files, as users start it."""
        declared = project / "defs" / DATASET / "defs.yaml"
        self._arot(project.parent, "init", str(project))
        declared.parent.mkdir(parents=True)
        declared.write_text(DECLARATION.format(name=DATASET, source=source))
        read, walk = "bare: read, SHA-256, Pillow's header", "bare: scandir and stat"
        told = self._command("`arot run`, all files new", size, project, "run", limit=read)
        assert "up to date" in told, told
        told = self._command("`arot run`, nothing to do", size, project, "run", limit=walk)
        assert "nothing to do" in told, told
        self._step("", size, "change", str(source), str(size))
        told = self._command("`arot run`, 100 changed, 100 removed, 100 added", size, project, "run", limit=walk)
        assert "100 new, 100 changed, 100 gone" in told, told
        told = self._command("`arot status`", size, project, "status")
        assert f"{size:,}" in told, told

    def keys(self, size: int, swift: "Swift") -> None:  # type: ignore[name-defined]  # noqa: F821
        """A prefix of S3, and the inventory of it."""
        root, store = f"s3://{BUCKET}/{size}", self.work / f"store-{size}"
        swift.add_to_listing(BUCKET, [(f"{size}/{n // 1000:05}/{n:08}.jpg", 1000 + n % 997) for n in range(size)])
        limit = "S3, bare: boto3's paginator"
        self._step(limit, size, "paginator", root)
        self._step("S3, listing: storage alone", size, "storage", root, limit=limit)
        self._step("S3, listing: as a table, sidecars looked for", size, "listing", root, limit=limit)
        self._step("S3, inventory: the first", size, "inventory", root, str(store), limit=limit)
        self._step("S3, inventory: seen again", size, "inventory", root, str(store), limit=limit)

    def _command(self, what: str, size: int, project: Path, command: str, limit: str = "") -> str:
        return self._ours(what, size, *self._arot_call(project, command, DATASET), limit=limit)

    def _arot(self, cwd: Path, *arguments: str) -> None:
        self._ours("", 0, *self._arot_call(cwd, *arguments))

    def _arot_call(self, project: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
        own = {"AROT_STORE": str(project / "store"), "DAGSTER_HOME": str(project / "dagster"), "PWD": str(project)}
        return [sys.executable, "-m", "arot_assets.cli", *arguments], own

    def _step(self, what: str, size: int, *arguments: str, limit: str = "") -> None:
        told = self._ours(what, size, [sys.executable, str(STEPS), *arguments], {}, limit=limit)
        assert not what or told.strip() in (str(size), "seen again"), told[-2000:]

    def _ours(self, what: str, size: int, command: list[str], more: dict[str, str], limit: str = "") -> str:
        """Run a process to its end; what it printed. Without a name it is not counted."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
        ended = processes.run(command, environment, more.get("PWD", self.work))
        if what:
            self.lines.append(Measured(what, size, ended.seconds, ended.cpu, ended.mib, limit))
            took = f"CPU {ended.cpu:.2f} s, {ended.seconds:.2f} s, {ended.mib:,.0f} MiB"
            print(f"{size:>9,}  {what}: {took}", flush=True)
        return ended.text

    def report(self) -> str:
        """The table for RESULTS.md, step by step, each at all sizes."""
        found = {(line.what, line.size): line for line in self.lines}
        rows = []
        for what in dict.fromkeys(line.what for line in self.lines):
            before = None
            for line in (line for line in self.lines if line.what == what):
                limit = found.get((line.limit, line.size))
                growth = f"{line.cpu / line.size / (before.cpu / before.size):.2f}" if before else ""
                times = f"{line.cpu / limit.cpu:.1f} x" if limit else ""
                name = what if before is None else ""
                size = f"{line.size:,}"
                rows.append((name, size, f"{line.cpu:.2f}", f"{line.seconds:.1f}", f"{line.mib:,.0f}", growth, times))
                before = line
        head = ("step", "objects", "CPU s", "seconds", "peak MiB", "growth", "of the bare one")
        load = f"Load average at the end: {os.getloadavg()[1]:.0f} (five minutes): take the CPU seconds.\n\n"
        return load + write_table(head, rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = [50_000, 200_000, 1_000_000]
    parser.add_argument("--files", type=int, nargs="*", default=sizes, help="sizes of the folder; none leaves it out")
    parser.add_argument("--keys", type=int, nargs="*", default=sizes[:2], help="sizes of the S3 prefix")
    parser.add_argument("--only-walk", action="store_true", help="of the folder, only the listings")
    parser.add_argument("--work", type=Path, help="an empty folder for the files (default: a temporary one)")
    parser.add_argument("--no-record", action="store_true", help="print only")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="arot-walk-", dir=said.work) as folder:
        bench = Bench(Path(folder))
        for size in said.files:
            bench.files(size, not said.only_walk)
        if said.keys:
            sys.path.insert(0, str(ROOT))
            from tests.servers.swift import Swift

            (Path(folder) / "swift").mkdir()
            with Swift(Path(folder) / "swift") as swift:
                os.environ.update(swift.environment())
                swift.client().create_bucket(Bucket=BUCKET)
                for size in said.keys:
                    bench.keys(size, swift)
        text = bench.report()
    print(text)
    if not said.no_record:
        results.append("A source of many files", text)


if __name__ == "__main__":
    main()
