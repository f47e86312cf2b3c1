"""What people look at in a shard of captions: images beside what was said of them.

Belongs here: choosing and laying out. Does not belong here: drawing (``drawing.py``), Dagster.
"""

import io

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.captions.table import TEXT
from arot_assets.datasets.places import Place
from arot_assets.drawing import data_uri
from arot_assets.markdown import write_table
from arot_assets.media.file import DecodeError
from resources.storage import StorageError

SHOWN = 8
SIDE = 112
LONGEST = 400
"""Characters of a caption that are shown."""


def caption_preview(place: Place, samples: pa.Table, captions: pa.Table) -> str | None:
    """Some images with their captions as Markdown, spread evenly over the shard; None without any.

    Args:
        place: of the dataset.
        samples: ``sample_id`` and ``uri`` of the shard.
        captions: rows of the shard.
    """
    from PIL import Image

    ok = captions.filter(pc.equal(captions["status"], "ok")).select(["sample_id", TEXT]).to_pylist()
    uris = dict(zip(samples["sample_id"].to_pylist(), samples["uri"].to_pylist(), strict=True))
    files = place.files({uri: sample_id for sample_id, uri in uris.items()})
    rows = []
    for row in ok[:: max(1, -(-len(ok) // SHOWN))]:
        try:
            poster = place.medium.poster(files(uris[row["sample_id"]]), SIDE)
        except (StorageError, DecodeError):
            continue
        buffer = io.BytesIO()
        Image.fromarray(poster).save(buffer, "JPEG", quality=70)
        text = row[TEXT] if len(row[TEXT]) <= LONGEST else f"{row[TEXT][:LONGEST]}…"
        rows.append((f"![]({data_uri(buffer.getvalue())})", text))
    return write_table(("image", "caption"), rows) if rows else None
