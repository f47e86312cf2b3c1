"""The card of a published dataset: a ``README.md`` with what the Hub, the ``datasets`` library and users need to know.

Belongs here: its text, and merging it into a card that users have edited. Does not belong here: finding the facts
(``rows.py``, ``provenance.py``).

Nothing in it changes unless the data, the SQL or the declaration does. Our part is between two comments; the rest of the page
belongs to its owner, and so do all entries of the YAML header that we do not need.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.errors import ExportError
from arot_assets.exports.features import card_features, type_name
from arot_assets.exports.provenance import Provenance, column_texts
from arot_assets.exports.rows import ExportRows
from arot_assets.markdown import write_table

BEGIN = "<!-- arot: begin. Everything up to the line 'arot: end' is rewritten by `arot publish`. -->"
END = "<!-- arot: end -->"
BLOCK = re.compile(r"<!-- arot: begin.*?<!-- arot: end -->", re.DOTALL)
FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
CONFIG = "default"
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)
LARGEST = "n>1B"


@dataclass(frozen=True)
class Counts:
    """Numbers about the published rows.

    Attributes:
        rows: rows with their originals.
        file_bytes: total size of these originals.
        left_out: rows whose original could not be read.
        captions: rows of the subset that have a caption.
    """

    rows: int
    file_bytes: int
    left_out: int
    captions: int


def data_files(layout: str, split: str) -> str:
    """The pattern of the files that are data."""
    return f"data/{split}-*-of-*.parquet" if layout == "parquet" else f"{split}/**"


def front_matter(declaration: HubDatasetDeclaration, rows: ExportRows, counts: Counts) -> dict[str, Any]:
    """The YAML header of the card: what programs read."""
    published = rows.medium.published
    features = card_features(rows.medium, rows.schema)
    size = counts.file_bytes + rows.value_bytes
    split = {"name": declaration.split, "num_bytes": size, "num_examples": counts.rows}
    return {
        "license": declaration.license,
        "task_categories": [published.task if 2 * counts.captions > rows.count else published.task_without_text],
        "size_categories": [next((name for most, name in SIZES if counts.rows < most), LARGEST)],
        "configs": [
            {
                "config_name": CONFIG,
                "data_files": [{"split": declaration.split, "path": data_files(declaration.layout, declaration.split)}],
            }
        ],
        "dataset_info": {"config_name": CONFIG, "features": features, "splits": [split], "dataset_size": size},
    }


def block(declaration: HubDatasetDeclaration, rows: ExportRows, provenance: Provenance, counts: Counts) -> str:
    """The part for readers, between its two comments."""
    parts = [f"# {declaration.repo.rpartition('/')[2]}", declaration.description]
    parts += [write_table(("", ""), _count_rows(counts, rows.medium.name)), _use(declaration)]
    parts += ["## Columns", write_table(("column", "type", "meaning"), _column_rows(rows, provenance))]
    parts += ["## Selection", "The number of samples that each condition removes, in order and on its own."]
    for model in provenance.models:
        if model.waterfall is not None:
            parts += [f"### {model.name}", model.waterfall.to_markdown()]
    parts += ["## Lineage", write_table(("dataset", "source", "commit"), [_source_row(s) for s in provenance.sources])]
    if provenance.tables:
        made = [(f"`{t.name}`", ", ".join(t.versions), t.made_by) for t in provenance.tables]
        parts.append(write_table(("metric table", "version", "made by"), made))
    parts += [f"SQL of `{m.name}`:\n\n````sql\n{m.sql.strip()}\n````" for m in provenance.models]
    parts += ["## Licence", f"`{declaration.license}`"]
    text = "\n\n".join(part for part in parts if part).replace("<!--", "&lt;!--")
    return f"{BEGIN}\n\n{rows.paths.removed(text)}\n\n{END}"


def merge(old: str, front: Mapping[str, Any], ours: str, repo: str) -> str:
    """A card with our part rewritten; everything else is kept.

    Args:
        old: the existing card, empty if there is none.
        front: from ``front_matter``.
        ours: from ``block``.
        repo: the repository, for error messages.

    Raises:
        ExportError: its header is not valid YAML.
    """
    found = FRONT.match(old)
    try:
        theirs = (yaml.safe_load(found[1]) if found else None) or {}
        if not isinstance(theirs, dict):
            raise yaml.YAMLError("not a mapping of keys")
    except yaml.YAMLError as error:
        raise ExportError(
            f"the header of README.md in '{repo}' is not valid YAML ({' '.join(str(error).split())}); correct it on the Hub"
        ) from error
    wanted = _combined(theirs, front)
    head = (
        found[0]
        if found and wanted == theirs
        else f"---\n{yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True)}---\n"
    )
    body = old[found.end() :] if found else old
    if BLOCK.search(body):
        return head + BLOCK.sub(lambda _: ours, body, count=1)
    above = f"{body.rstrip()}\n\n" if body.strip() else "\n"
    return f"{head}{above}{ours}\n"


def _combined(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The owner's entries merged with ours: other configurations, and a task that they chose, are kept."""
    result = {**theirs, **ours}
    if "task_categories" in theirs:
        result["task_categories"] = theirs["task_categories"]
    for key in ("configs", "dataset_info"):
        there = theirs.get(key)
        others = (
            [e for e in there if isinstance(e, dict) and e.get("config_name", CONFIG) != CONFIG]
            if isinstance(there, list)
            else []
        )
        if others:
            mine = ours[key] if isinstance(ours[key], list) else [ours[key]]
            result[key] = [*mine, *others]
    return result


def _use(declaration: HubDatasetDeclaration) -> str:
    revision = f', revision="{declaration.revision}"' if declaration.revision else ""
    return (
        f"```python\nfrom datasets import load_dataset\n\n"
        f'dataset = load_dataset("{declaration.repo}", split="{declaration.split}"{revision})\n```'
    )


def _count_rows(counts: Counts, medium: str) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        ("rows", f"{counts.rows:,}"),
        (f"bytes of {medium}s", f"{counts.file_bytes:,}"),
    ]
    if counts.left_out:
        rows.append((f"rows left out because their {medium} could no longer be read", f"{counts.left_out:,}"))
    return rows


def _column_rows(rows: ExportRows, provenance: Provenance) -> list[Sequence[str]]:
    texts, medium = column_texts(provenance), rows.medium
    first = (f"`{medium.name}`", medium.published.feature.lower(), "the original bytes of the file")
    return [first, *((f"`{f.name}`", type_name(f.type), texts.get(f.name, "")) for f in rows.schema)]


def _source_row(source: Any) -> Sequence[str]:
    return (f"`{source.dataset}`", f"`{source.address}`", source.commit)
