"""Tables on the Hub: ``nb.loads("hf://owner/repo")`` compared with ``datasets.load_dataset``, with and without network
failures.

Belongs here: the Hub, the dataset, the two clients, the report.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import results

from arot_assets.markdown import write_table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
MEASURED = """
import resource, sys, time
began = time.perf_counter()
{load}
used = resource.getrusage(resource.RUSAGE_SELF)
print(len(table), time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""
CLIENTS = {
    "ours": 'from resources import notebook as nb; table = nb.loads("hf://owner/set", columns={columns})',
    "datasets": 'import datasets; datasets.disable_progress_bars(); table = datasets.load_dataset("owner/set", '
    'split="train", columns={columns}).to_pandas()',
}
FILES = 4
EPILOG = """
examples:
  python bench/hub_dataset.py              all; adds a section to bench/RESULTS.md
  python bench/hub_dataset.py --no-record
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=400_000, help="each has an integer, a float, a text and 100 bytes")
    parser.add_argument("--rounds", type=int, default=2, help="the shortest is reported")
    parser.add_argument("--no-record", action="store_true", help="print only")
    said = parser.parse_args()
    from tests.servers.hub import Hub

    with tempfile.TemporaryDirectory(prefix="arot-bench-") as folder, Hub(Path(folder) / "hub") as hub:
        text = measure(hub, Path(folder), said.rows, said.rounds)
    print(text)
    if not said.no_record:
        print(f"added to {results.append('tables of the Hub', text)}")


def measure(hub: Any, folder: Path, rows: int, rounds: int) -> str:
    """Create the dataset, load it with both, write the table."""
    from resources.notebook.table_files import write_parquet
    from tests.servers.faults import FaultProxy, Faults

    rng = np.random.default_rng(0)
    files = {}
    for n in range(FILES):
        count = rows // FILES
        columns = {
            "id": np.arange(count),
            "score": rng.random(count),
            "text": [f"a caption {i} " * 5 for i in range(count)],
        }
        blobs = [rng.bytes(100) for _ in range(count)]
        files[f"data/train-{n:05}-of-{FILES:05}.parquet"] = write_parquet(pa.table({**columns, "blob": blobs}))
    hub.commit(hub.create("owner/set"), files)
    size = sum(map(len, files.values()))
    table = []
    for shown, chosen in (("all", "None"), ("2 of 4", "['id', 'score']")):
        for name in CLIENTS:
            runs = [load(hub, folder, name, chosen) for _ in range(rounds)]
            seconds, cpu, memory, disk = min(run for run in runs if run is not None)
            table.append((shown, name, f"{seconds:.1f}", f"{cpu:.1f}", f"{memory:.0f}", f"{disk / 1e6:.0f}"))
    lines = [write_table(("columns", "way", "seconds", "CPU s", "MB of memory", "MB left on disk"), table)]
    for name in CLIENTS:
        whole = 0
        for seed in range(3):
            faults = Faults(refuse=0.02, error=0.02, reset=0.02, half=0.02)
            with FaultProxy(hub.endpoint, faults, seed=seed) as proxy:
                whole += load(hub, folder, name, "None", proxy.endpoint) is not None
        lines.append(
            f"\n{name}, with one request in fifty each refused, answered with 500, reset or cut: {whole} of 3 loads succeeded."
        )
    return f"{rows:,} rows, {size / 1e6:.0f} MB in {FILES} Parquet files; the Hub on the same machine.\n\n" + "\n".join(
        lines
    )


def load(
    hub: Any, folder: Path, name: str, columns: str, endpoint: str | None = None
) -> tuple[float, float, float, int] | None:
    """Wall and CPU seconds, megabytes of memory, bytes left on disk; None if it failed."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        variables = hub.environment(Path(home))
        if endpoint:
            variables["HF_ENDPOINT"] = endpoint
        done = subprocess.run(
            [sys.executable, "-c", MEASURED.format(load=CLIENTS[name].format(columns=columns))],
            env={**os.environ, **variables, "AROT_CACHE": f"{home}/arot", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}", flush=True)
            return None
        _, seconds, cpu, memory = map(float, done.stdout.split())
        disk = sum(p.stat().st_size for p in Path(home).rglob("*") if p.is_file() and not p.is_symlink())
        return seconds, cpu, memory, disk


if __name__ == "__main__":
    main()
