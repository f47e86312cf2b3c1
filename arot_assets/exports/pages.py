"""What the UI shows of an export: its buckets, and samples with the caption that is trained.

Belongs here: Markdown and small images. Does not belong here: what they show (``buckets/``, ``versions.py``).
"""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arot_assets.drawing import contact_sheet, data_uri
from arot_assets.exports.buckets.plan import BucketPlan
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.token_lengths import ENCODERS, length_lines
from arot_assets.exports.versions import Receipt, read_manifest
from arot_assets.markdown import write_table
from arot_assets.media.file import DecodeError
from resources.storage import Storage, StorageError
from resources.storage.objects import join
from resources.tables import Tables

MOST_BUCKETS = 40
PREVIEWED = 50
SIDE = 96
BAR = 24


def bucket_page(plan: BucketPlan) -> str:
    """A plan in words, a bar for each bucket, and a table."""
    facts = plan.facts()
    head = (
        f"{plan.columns.num_rows:,} samples in {len(plan.buckets)} buckets; left out {plan.left_out:,}, left over in an epoch "
        f"{plan.left_over:,}. Of each picture {facts['crop']:.1%} is cropped away on average; {facts['up_scaled']:.1%} are "
        f"up-scaled; {facts['lost']:.1%} of the pixels are lost, {facts['invented']:.1%} of the trained ones invented.\n\n"
    )
    most = max((b.samples for b in plan.buckets), default=1) or 1
    rows = [
        (
            f"{b.width}x{b.height}" + (f"x{b.frames}" if b.frames > 1 else ""),
            b.samples,
            b.left_over,
            _bar(b.samples / most),
        )
        for b in plan.buckets[:MOST_BUCKETS]
    ]
    return head + write_table(("bucket", "samples", "left over", ""), rows, right=("samples", "left over"))


def resolution_page(rows: Sequence[Mapping[str, Any]]) -> str:
    """What other training sizes would lose, with the best one marked; see ``resolutions_of``."""
    shares = ("lost", "invented")
    shown = [{**row, **{name: f"{row[name]:.1%}" for name in shares}} for row in rows]
    names = ("resolution", "buckets", *shares, "left out", "left over", "best")
    return write_table((*names[:-1], ""), [[row[name] for name in names] for row in shown], right=names[:-1])


def caption_page(tables: Tables, storage: Storage, declaration: ExportDeclaration, receipt: Receipt) -> str:
    """Up to 50 samples, spread over all, each with the caption that is trained and its length in tokens of text encoders; above
    them how long all captions are. Clips, and what is in tar files, are shown by their names."""
    manifest = read_manifest(tables, declaration.name, receipt.version)
    head = "\n".join(f"- {line}" for line in length_lines(manifest["caption"].to_pylist())) + "\n\n"
    pictures = receipt.medium == "image" and declaration.layout != "webdataset"
    step = max(1, manifest.num_rows // PREVIEWED)
    lines = []
    for row in manifest.to_pylist()[::step][:PREVIEWED]:
        name = Path(row["path"]).name
        shown = _picture(storage, join(receipt.place, row["path"]), name) if pictures else name
        if shown is None:
            continue
        counts = [encoder.count(row["caption"]) for encoder in ENCODERS]
        lines.append((shown, f"{row['width']}x{row['height']}", *counts, html.escape(row["caption"])))
    names = [f"{encoder.name} tokens" for encoder in ENCODERS]
    return head + write_table(("", "size", *names, "caption"), lines, right=names)


def _picture(storage: Storage, uri: str, name: str) -> str | None:
    """A small picture in Markdown; None if it cannot be read."""
    from arot_assets.media.image.decode import thumbnail

    try:
        pixels = thumbnail(storage.read_bytes(uri), SIDE)
    except (StorageError, DecodeError):
        return None
    return f"![{name}]({data_uri(contact_sheet([pixels], tile=SIDE))})"


def _bar(share: float) -> str:
    return "\u2588" * max(1, round(BAR * share))
