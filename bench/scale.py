"""How does it scale? Inventory, catalogue, joins, `arot status` and a no-change `arot run` over millions of samples.

Belongs here: the command line. Does not belong here: the data (``scale_lake.py``), the project whose commands are timed
(``scale_project.py``), the processes (``scale_bench.py``), the steps that are timed inside a process (``scale_steps.py``), limits
and growth (``scale_report.py``). Imports only the standard library: a child's peak memory starts at that of its parent.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import results
from scale_bench import CARE_LIMIT, ROOT, Bench
from scale_report import report

EPILOG = """
what is measured, each in a separate process: wall time (median), CPU time and peak memory
  inventory    read, write, compare with an unchanged listing and with one of 1 % new, 1 % changed, 1 % gone
  catalogue    a new catalog.duckdb and a connection with all views, over samples and 10 metric tables
  joins        10 metrics with three filters, written out, through <dataset>.wide, and in polars over the same files, in turns and
               with the same number of threads; again with 1 % of the objects gone
  arot status  the command, as users start it
  arot run     the command with nothing to do, over as many real files (hard links to a few small images), with the metrics cv2
               and phash and the SQL models of dbt_like_sql; beside it a bare walk (scandir and stat) of the same folder. One more
               run is monitored: it must open no file of the source and change no table.
  care         arot diff, gc and verify, up to 1 M samples

Then how each step grows from the smallest to the largest number of samples, and a line for each requirement.

Tables are synthetic, in shards of 5,000, with the schemas and footers of real ones. 1 M rows need 0.5 GB of disk and about 3
minutes, 10 M rows 6 GB, 10 M more names in the file system and half an hour, most of it for creating the data.

examples:
  python bench/scale.py                              1 M and 10 M; adds a section to bench/RESULTS.md
  python bench/scale.py --rows 100k,200k --no-record a quick check
  python bench/scale.py --work /big/disk --keep      the data is kept there, and reused by the next call
  python bench/scale.py --only joins                 the join beside polars alone

The machine should be idle. Compare ratios inside one run, not seconds between machines.
"""
PARTS = ("tables", "joins", "commands", "care")


def number(text: str) -> int:
    """``100k`` -> 100,000; ``5M`` -> 5,000,000."""
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    return int(text.rstrip("kKmM")) * factor


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="1M,10M", help="numbers of samples, comma-separated (default 1M,10M)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each step is measured (default 3)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts of it; care needs commands")
    parser.add_argument("--work", type=Path, help="where the data is made (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true", help="keep the data there; a later call with --work reuses it")
    parser.add_argument("--no-record", action="store_true", help="print only, leave bench/RESULTS.md alone")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    work = (options.work or Path(tempfile.mkdtemp(prefix="arot-scale-"))).absolute()
    work.mkdir(parents=True, exist_ok=True)
    benches = [Bench(work, number(text), options.rounds) for text in options.rows.split(",")]
    print(f"{results.machine()}; data below {work}")
    try:
        for bench in benches:
            print(f"{bench.rows:,} samples", flush=True)
            bench.make()
            for part in PARTS:
                if part in options.only and (part != "care" or bench.rows <= CARE_LIMIT):
                    getattr(bench, part)()
    finally:
        if not options.keep:
            for bench in benches:
                for path in [*work.glob(f"*-{bench.rows}"), *work.glob(f"*-{bench.rows}-*")]:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            if options.work is None:
                work.rmdir()
    text = report(benches)
    print(f"\n{text}")
    if not options.no_record:
        print(f"\nadded to {results.append('Scale', text).relative_to(ROOT)}")


if __name__ == "__main__":
    main()
