"""Would `sample_id` as Parquet's UUID make joins cheaper than as 32 characters of text? Ten joins over the lake's real layout.

Belongs here: the same lake twice, once with each type, and the CPU time of queries over both, in turns. Does not belong here: how
the lake is made (``scale_lake.py``).
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import results
from scale_lake import DATASET, DECLARED, SYNTHETIC, make_lake

METRICS = (*DECLARED, *SYNTHETIC)
FILTERS = "aesthetic.score > 6 and nsfw.score < 3 and watermark.score < 5"


def main() -> None:
    """Measure, and record unless told otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text, uuid = Path(folder, "text"), Path(folder, "uuid")
        make_lake(text, Path("/nowhere"), options.rows)
        for file in sorted((text / "datasets" / DATASET).glob("*/*.parquet")):
            convert(file, uuid / file.relative_to(text))
        lines = [
            f"{options.rows:,} samples in {len([*(text / 'datasets' / DATASET / 'samples').iterdir()])} shards, ten metrics;"
        ]
        lines += [
            f"CPU seconds (user and system, all threads), medians of {options.rounds} interleaved rounds, 2 threads.",
            "",
        ]
        lines += ["| query | text | UUID | text / UUID |", "|---|---|---|---|"]
        for what, query in QUERIES.items():
            spent: dict[Path, list[float]] = {text: [], uuid: []}
            answers = set()
            for _ in range(options.rounds):
                for lake, times in spent.items():
                    used, answer = cpu_of(lambda lake=lake, query=query: query(lake))  # type: ignore[misc]
                    times.append(used)
                    answers.add(answer)
            assert len(answers) == 1, answers
            before, after = (statistics.median(times) for times in spent.values())
            lines.append(f"| {what} | {before:.2f} | {after:.2f} | {before / after:.2f} |")
        sizes = [
            sum(f.stat().st_size for f in lake.rglob("*.parquet") if f.parent.name != DATASET) for lake in (text, uuid)
        ]
        lines.append(
            f"| MB of all shards | {sizes[0] / 1e6:,.0f} | {sizes[1] / 1e6:,.0f} | {sizes[0] / sizes[1]:.2f} |"
        )
    report = "\n".join(lines)
    print(report)
    if not options.no_record:
        results.append("Keys of joins: text or UUID", report)


def convert(file: Path, target: Path) -> None:
    """The same shard with ids of 16 bytes of the logical type UUID, by the same writer."""
    table = pq.read_table(file)
    data = bytes.fromhex("".join(table["sample_id"].to_pylist()))
    ids = pa.ExtensionArray.from_storage(
        pa.uuid(), pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(table), [None, pa.py_buffer(data)])
    )
    table = table.set_column(table.column_names.index("sample_id"), "sample_id", ids)
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target, compression="zstd")
    pq.write_table(pq.read_table(file), file, compression="zstd")  # the text again, so that both were written alike


def cpu_of(work: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds of this process, and the answer."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    answer = work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, answer


def joined(lake: Path, select: str, where: str) -> str:
    """All metrics beside the samples, as `wide` joins them."""
    root = lake / "datasets" / DATASET
    tables = [f"left join '{root}/{name}/*.parquet' {name} using (sample_id)" for name in METRICS]
    return f"select {select} from '{root}/samples/*.parquet' samples {' '.join(tables)} where samples.status = 'ok' and {where}"


def run(sql: str) -> object:
    """The first row of a query."""
    with duckdb.connect() as con:
        con.execute("set threads = 2")
        return tuple(np.round(x, 3) if isinstance(x, float) else x for x in con.execute(sql).fetchone() or ())


FIRST = f"select min(sample_id) from '{{lake}}/datasets/{DATASET}/cv2/00000.parquet'"
TEXT = "replace(sample_id::varchar, '-', '') as id"
SUMS = ", ".join(f"count({name}.score)" for name in SYNTHETIC)
QUERIES: dict[str, Callable[[Path], object]] = {
    "ten joins, no filter, counts": lambda lake: run(
        joined(lake, f"count(cv2.sharpness), count(phash.phash), {SUMS}", "true")
    ),
    "ten joins, three filters, counts": lambda lake: run(joined(lake, f"count(cv2.sharpness), {SUMS}", FILTERS)),
    "ten joins, three filters, ids as text": lambda lake: run(
        f"select count(*), max(id) from ({joined(lake, TEXT, FILTERS)})"
    ),
    "one sample by its id": lambda lake: run(
        joined(lake, "count(*)", f"samples.sample_id = ({FIRST.format(lake=lake)})")
    ),
}


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s")
