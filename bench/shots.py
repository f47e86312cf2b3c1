"""How well are boundaries of shots found? The macros of films against a folder of films with known cuts.

Belongs here: the comparison and its report. Does not belong here: the rule (``dbt_like_sql/macros/films.sql``).
"""

import argparse
import csv
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.declarations import VideoDataset
from arot_assets.markdown import write_table
from arot_assets.metrics.build_files import build_files
from arot_assets.subsets.load import load_project
from resources.defaults import default_resources
from resources.tables import INVENTORY, TableRef

ROOT = Path(__file__).parents[1]
MODEL = "select * from {{ boundaries(source('films', 'frames'), source('films', 'samples')) }}"
SOURCES = "sources: [{name: films, tables: [{name: samples}, {name: frames}]}]"
HARD = ("cut", "partial", "size_change")
GRADUAL = ("dissolve", "fade_black", "fade_white")
EPILOG = """
the folder holds films and cuts.csv: file, frame (the first of the new shot, or of the transition), kind (cut, dissolve,
fade_out, fade_in …), end_frame (the first after the transition). A cut counts only at the exact frame.

example:
  python bench/shots.py tests/data/films
"""
Span = tuple[int, int]


def main() -> None:
    """Decode the films into a store of their own, ask for boundaries, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="films and cuts.csv")
    folder: Path = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as place:
        os.environ["AROT_STORE"] = str(Path(place) / "store")
        frames, seconds, found = measured(folder.resolve(), Path(place) / "project")
    print(f"{frames:,} frames; boundaries in {seconds:.2f} s of SQL\n")
    print(write_table(["what", "true", "found", "precision", "recall"], list(compared(folder, found))))


def measured(folder: Path, project: Path) -> tuple[int, float, list[tuple[str, int, int, str]]]:
    """Frames decoded, seconds of the query, and the boundaries: file, start, end, kind."""
    resources = default_resources()
    films = VideoDataset.model_validate({"name": "films", "source": str(folder), "settle_seconds": 0})
    take_inventory(resources.storage, resources.tables, films, datetime.now(UTC))
    for shard in sorted(set(resources.tables.read(TableRef("films", INVENTORY))["shard"].to_pylist())):
        build_samples(resources.storage, resources.tables, films, shard)
        build_files(resources.storage, resources.warehouse, resources.models, films, shard, [])
    files = {
        "dbt_project.yml": "name: bench\nprofile: bench\n",
        "models/sources.yml": SOURCES,
        "models/found.sql": MODEL,
        "macros/films.sql": (ROOT / "dbt_like_sql" / "macros" / "films.sql").read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    query = load_project(project).compile("found")
    resources.warehouse.refresh()
    with resources.warehouse.connect() as con:
        started = time.perf_counter()
        rows = con.execute(
            f"""select parse_filename(s.uri), b.start_n, b.end_n, b.kind from ({query}) b
            join films.samples s using (sample_id) order by all"""
        ).fetchall()
        seconds = time.perf_counter() - started
        (count,) = con.execute("select count(*) from films.frames").fetchone() or (0,)
    return int(count), seconds, rows


def compared(folder: Path, found: Sequence[tuple[str, int, int, str]]) -> Iterator[list[str]]:
    """A row for hard cuts and one for gradual boundaries; only files that ``cuts.csv`` or the boundaries name."""
    truth = true_spans(folder / "cuts.csv")
    known = {(file, start) for file, spans in truth["cut"].items() for start, _ in spans}
    here = {(file, start) for file, start, _, kind in found if kind in HARD}
    yield ["hard cuts, exact frame", str(len(known)), str(len(here)), *shares(len(known & here), len(here), len(known))]
    spans = [(file, span) for file, of_file in truth["gradual"].items() for span in of_file]
    soft = [(file, (start, end)) for file, start, end, kind in found if kind in GRADUAL]
    near = [s for s in spans if any(file == s[0] and overlaps(span, s[1]) for file, span in soft)]
    right = [s for s in soft if any(file == s[0] and overlaps(span, s[1]) for file, span in spans)]
    precision, recall = shares(len(right), len(soft), 1)[0], shares(len(near), 1, len(spans))[1]
    yield ["gradual, overlapping", str(len(spans)), str(len(soft)), precision, recall]
    close = [s for s in spans if any(file == s[0] and within(span, s[1], 2) for file, span in soft)]
    yield [
        "gradual, both ends within 2 frames",
        str(len(spans)),
        str(len(soft)),
        "",
        shares(len(close), 1, len(spans))[1],
    ]


def true_spans(path: Path) -> Mapping[str, dict[str, list[Span]]]:
    """``cut`` and ``gradual`` -> file -> spans; a fade out, what is blank and a fade in are one."""
    spans: dict[str, dict[str, list[Span]]] = {"cut": defaultdict(list), "gradual": defaultdict(list)}
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        span = (int(row["frame"]), int(row["end_frame"]))
        if row["kind"] == "cut":
            spans["cut"][row["file"]].append(span)
        elif row["kind"] != "flash":
            of_file = spans["gradual"][row["file"]]
            if row["kind"] != "dissolve" and of_file and of_file[-1][1] == span[0]:
                of_file[-1] = (of_file[-1][0], span[1])
            else:
                of_file.append(span)
    return spans


def overlaps(a: Span, b: Span) -> bool:
    """Whether two spans share a frame."""
    return a[0] < b[1] and b[0] < a[1]


def within(a: Span, b: Span, frames: int) -> bool:
    """Whether both ends of two spans are so close."""
    return abs(a[0] - b[0]) <= frames and abs(a[1] - b[1]) <= frames


def shares(right: int, found: int, known: int) -> tuple[str, str]:
    """Precision and recall."""
    return (f"{right / found:.3f}" if found else "-", f"{right / known:.3f}" if known else "-")


if __name__ == "__main__":
    main()
