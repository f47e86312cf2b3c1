"""How well are boundaries of shots found? The macros of films against a folder of films with known cuts.

Belongs here: the comparison and its report. Does not belong here: the rule (``dbt_like_sql/macros/films.sql``).
"""

import argparse
import csv
import math
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.declarations import VideoDataset
from arot_assets.markdown import write_table
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.registry import get_metric
from arot_assets.subsets.load import load_project
from resources.defaults import default_resources
from resources.tables import INVENTORY, TableRef

ROOT = Path(__file__).parents[1]
MODEL = "select * from {{{{ boundaries(source('films', 'frames'), source('films', 'samples'){}) }}}}"
PROJECT = "name: bench\nprofile: bench\n"
SOURCES = "sources: [{name: films, tables: [{name: samples}, {name: frames}, {name: transnetv2}]}]"
HARD = ("cut", "partial", "size_change")
NEITHER = ("damage", "gap")
_RUNS = """select sample_id, {} from (
    select *, n - row_number() over (partition by sample_id order by n) as run from films.transnetv2 where {})
    group by sample_id, run having count(*) >= {}"""
ALONE = {
    "TransNetV2, first head above 0.5": _RUNS.format(
        "max(n)::int + 1 as start_n, max(n)::int + 1 as end_n, 'cut' as kind", "cut > 0.5", 1
    ),
    "TransNetV2, second head above 0.25": _RUNS.format(
        "min(n)::int as start_n, max(n)::int + 1 as end_n, 'dissolve' as kind", "transition > 0.25", 3
    ),
}
PEERS = """
import sys
from pathlib import Path
from scenedetect import detect, AdaptiveDetector, ContentDetector, HashDetector, HistogramDetector, ThresholdDetector
for kind in (ContentDetector, AdaptiveDetector, HashDetector, HistogramDetector, ThresholdDetector):
    for path in sys.argv[1:]:
        try:
            scenes = detect(path, kind())
        except Exception:
            continue
        for start, _ in scenes[1:]:
            print(kind.__name__, Path(path).name, start.frame_num)
"""
COLUMNS = (
    *("how", "cuts P", "cuts R", "cuts F1", "dissolves", "within 2", "overlap"),
    *("fades", "within 2", "overlap", "false gradual", "flashes taken"),
)
Boundary = tuple[str, int, int, str]
"""File, first frame of the new shot or of the transition, first frame after it, kind."""
EPILOG = """
the folder holds films and cuts.csv: file, frame (the first of the new shot, or of the transition), kind (cut, dissolve,
fade_out, fade_in …), end_frame (the first after the transition). A cut counts only at the exact frame.

"overlap" is the mean intersection over union of what was found with what is true.

examples:
  python bench/shots.py tests/data/films
  python bench/shot_films.py /tmp/shots --pictures examples/images/photo && python bench/shots.py /tmp/shots --transnet
"""
Span = tuple[int, int]


def main() -> None:
    """Decode the films into a store of their own, ask for boundaries, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="films and cuts.csv")
    parser.add_argument("--transnet", action="store_true", help="TransNetV2 too: with the other rules, and alone")
    parser.add_argument(
        "--hours", type=float, help="also the time of another threshold over so many hours of stored frames"
    )
    parser.add_argument("--scenedetect", metavar="PYTHON", help="an interpreter that has PySceneDetect and OpenCV")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    truth = Truth.read(folder / "cuts.csv")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        os.environ["AROT_STORE"] = str(Path(place) / "store")
        frames, found = measured(folder, Path(place) / "project", arguments.transnet)
        if arguments.hours:
            print(recut(Path(place), arguments.hours))
    for name, (seconds, spans) in found.items():
        rows.append([name, *truth.held_to(spans)])
        print(f"{name}: {len(spans)} boundaries in {seconds:.2f} s")
    if arguments.scenedetect:
        rows += [[name, *truth.held_to(spans)] for name, spans in peers(arguments.scenedetect, folder).items()]
    print(f"\n{frames:,} frames, {truth}\n")
    print(write_table(COLUMNS, rows))


def recut(place: Path, hours: float) -> str:
    """What another threshold costs: the rules over the films' stored frames, repeated for so many hours of 24 frames a
    second and written as shards of Parquet, each as long as a film of two hours."""
    with default_resources().warehouse.connect() as con:
        (frames,) = con.execute("select count(*) from films.frames").fetchone() or (0,)
        times, a_shard = math.ceil(hours * 3600 * 24 / frames), max(1, 2 * 3600 * 24 // frames)
        for table, order in (("frames", "k, sample_id, n"), ("samples", "k, sample_id")):
            (place / table).mkdir()
            for k in range(0, times, a_shard):
                con.execute(
                    f"""copy (select t.* replace (t.sample_id || '-' || k as sample_id) from films.{table} t,
                    range({k}, {min(times, k + a_shard)}) r(k) order by {order}) to '{place}/{table}/{k}.parquet'"""
                )
    with duckdb.connect() as con:
        con.execute("create schema films")
        for table in ("frames", "samples"):
            con.execute(f"create view films.{table} as select * from read_parquet('{place}/{table}/*.parquet')")
        said = []
        for similarity in (0.9, 0.3):
            (place / "project" / "dbt_project.yml").write_text(
                f"{PROJECT}vars: {{cut_similarity: {similarity}}}\n", encoding="utf-8"
            )
            query = load_project(place / "project").compile("rules")
            wall, cpu = time.perf_counter(), time.process_time()
            (found,) = con.execute(f"select count(*) from ({query})").fetchone() or (0,)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            said.append(f"cut_similarity {similarity}: {found:,} boundaries in {wall:.1f} s, {cpu:.1f} s of CPU")
    size = sum(path.stat().st_size for path in (place / "frames").iterdir())
    return f"{hours:g} hours, {times * frames:,} stored frames of {size / (times * frames):.0f} bytes; " + "; ".join(
        said
    )


def measured(folder: Path, project: Path, transnet: bool) -> tuple[int, dict[str, tuple[float, list[Boundary]]]]:
    """Frames decoded; and of each way to find boundaries the seconds of its query, and what it found."""
    resources = default_resources()
    films = VideoDataset.model_validate(
        {"name": "films", "source": str(folder), "settle_seconds": 0, "shots": "on" if transnet else "off"}
    )
    metrics = [get_metric(name) for name in films.metrics]
    take_inventory(resources.storage, resources.tables, films, datetime.now(UTC))
    for shard in sorted(set(resources.tables.read(TableRef("films", INVENTORY))["shard"].to_pylist())):
        build_samples(resources.storage, resources.tables, films, shard)
        for name, result in build_files(
            resources.storage, resources.warehouse, resources.models, films, shard, metrics
        ).items():
            if result.error:
                raise SystemExit(f"{name}: {result.error}")
    files = {
        "dbt_project.yml": PROJECT,
        "models/sources.yml": SOURCES,
        "models/rules.sql": MODEL.format(""),
        "models/fused.sql": MODEL.format(", source('films', 'transnetv2')"),
        "macros/films.sql": (ROOT / "dbt_like_sql" / "macros" / "films.sql").read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    sql = load_project(project)
    resources.warehouse.refresh()
    queries: dict[str, str] = {"rules alone": str(sql.compile("rules"))}
    if transnet:
        queries |= {"rules and TransNetV2": str(sql.compile("fused")), **ALONE}
    found = {}
    with resources.warehouse.connect() as con:
        for name, query in queries.items():
            started = time.perf_counter()
            rows = con.execute(
                f"""select parse_filename(s.uri), b.start_n, b.end_n, b.kind from ({query}) b
                join films.samples s using (sample_id) order by all"""
            ).fetchall()
            found[name] = (time.perf_counter() - started, rows)
        (count,) = con.execute("select count(*) from films.frames").fetchone() or (0,)
    return int(count), found


def peers(python: str, folder: Path) -> dict[str, list[Boundary]]:
    """Boundaries of each detector of PySceneDetect, at its defaults."""
    paths = sorted(str(path) for path in folder.iterdir() if path.suffix != ".csv")
    told = subprocess.run([python, "-c", PEERS, *paths], check=True, capture_output=True, text=True).stdout
    found: dict[str, list[Boundary]] = defaultdict(list)
    for line in told.splitlines():
        detector, file, frame = line.rsplit(" ", 2)
        found[f"PySceneDetect {detector}"].append((file, int(frame), int(frame), "cut"))
    return found


class Truth:
    """What is known of the films.

    Args:
        spans: kind -> file and span; a fade out, what is blank and a fade in are one ``fade``.
    """

    def __init__(self, spans: Mapping[str, list[tuple[str, Span]]]) -> None:
        self.spans = spans

    @classmethod
    def read(cls, path: Path) -> "Truth":
        """From ``cuts.csv``."""
        spans: dict[str, list[tuple[str, Span]]] = defaultdict(list)
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            file, span = row["file"], (int(row["frame"]), int(row["end_frame"]))
            kind = row["kind"] if row["kind"] in ("cut", "dissolve", "flash") else "fade"
            before = spans[kind][-1] if spans[kind] else None
            if kind == "fade" and before and before[0] == file and before[1][1] == span[0]:
                spans[kind][-1] = (file, (before[1][0], span[1]))
            else:
                spans[kind].append((file, span))
        return cls(spans)

    def __str__(self) -> str:
        return ", ".join(f"{len(self.spans[kind])} {kind}s" for kind in ("cut", "dissolve", "fade", "flash"))

    def held_to(self, found: Sequence[Boundary]) -> list[str]:
        """A row of the table. A cut inside a gradual boundary finds that, and is no false cut."""
        gradual = [*self.spans["dissolve"], *self.spans["fade"]]
        known = {(file, start) for file, (start, _) in self.spans["cut"]}
        hard = [(file, start) for file, start, end, kind in found if kind in HARD]
        soft = [(file, (start, max(end, start + 1))) for file, start, end, kind in found if kind not in NEITHER]
        here = {h for h in hard if not any(h[0] == f and s[0] <= h[1] <= s[1] for f, s in gradual)}
        right = len(known & here)
        precision, recall = right / max(1, len(here)), right / max(1, len(known))
        said = [precision, recall, 2 * precision * recall / max(1e-9, precision + recall)]
        row = [f"{value:.3f}" for value in said] if known else ["", "", ""]
        for kind in ("dissolve", "fade"):
            shares = [best for one in self.spans[kind] if (best := _best(one, soft)) > 0]
            near = sum(any(within(span, other, 2) for f, other in soft if f == file) for file, span in self.spans[kind])
            mean = f"{sum(shares) / len(shares):.2f}" if shares else ""
            row += [f"{len(shares)} of {len(self.spans[kind])}", f"{near}", mean]
        wrong = [
            any(f == file and start - 1 <= s[0] <= end + 1 for f, s in soft)
            for file, (start, end) in self.spans["flash"]
        ]
        false = sum(not any(f == g[0] and overlaps(s, g[1]) for g in gradual) for f, s in soft if s[1] - s[0] > 1)
        return [*row, str(false), f"{sum(wrong)} of {len(wrong)}"]


def _best(one: tuple[str, Span], found: Sequence[tuple[str, Span]]) -> float:
    """The best intersection over union of a true span with a found one of its file."""
    file, (a, b) = one
    shares = [
        (min(b, d) - max(a, c)) / (max(b, d) - min(a, c))
        for f, (c, d) in found
        if f == file and overlaps((a, b), (c, d))
    ]
    return max(shares, default=0.0)


def overlaps(a: Span, b: Span) -> bool:
    """Whether two spans share a frame."""
    return a[0] < b[1] and b[0] < a[1]


def within(a: Span, b: Span, frames: int) -> bool:
    """Whether both ends of two spans are so close."""
    return abs(a[0] - b[0]) <= frames and abs(a[1] - b[1]) <= frames


if __name__ == "__main__":
    main()
