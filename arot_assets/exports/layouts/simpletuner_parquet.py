"""The layout ``simpletuner_parquet``: one Parquet file for each part instead of a text file for each sample."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layout import CompanionFolders, LoadedSample, Sample, entry
from arot_assets.exports.tree import Tree

SCHEMA = pa.schema(
    [
        ("filename", pa.string()),
        ("caption", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("aspect_ratio", pa.float64()),
        ("num_frames", pa.int32()),
    ]
)


def write(folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration) -> None:
    """See ``Layout``."""
    import pyarrow.parquet as pq

    for part, some in samples.items():
        rows = [(s.file, s.caption, s.width, s.height, round(s.width / s.height, 2), s.frames) for s in some]
        columns = zip(*rows, strict=True) if rows else ([] for _ in SCHEMA)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
        pq.write_table(pa.table(arrays, schema=SCHEMA), folder / f"{part}.parquet")


def entries(tree: Tree, folders: Sequence[str]) -> Iterator[LoadedSample]:
    """See ``Layout``."""
    import pyarrow.parquet as pq

    for part in folders:
        path = tree.folder / f"{part}.parquet"
        rows = pq.read_table(path, columns=["filename", "caption"]).to_pylist() if path.is_file() else []
        beside = CompanionFolders(tree, part)
        for row in rows:
            yield entry(tree, f"{part}/{row['filename']}", row["caption"], beside.of(row["filename"]))
