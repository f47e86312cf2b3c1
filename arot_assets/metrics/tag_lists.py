"""The list of a tagger's tags, beside its tables: what the ids in them mean.

Belongs here: the columns of that list, and writing it. Does not belong here: reading it from a model's files
(``resources.models``), the SQL over it (``resources.warehouse.macros``).
"""

from collections.abc import Sequence

import pyarrow as pa

from arot_assets.columns import Column
from resources.tables import Tables, TagsRef

COLUMNS = (
    Column("id", pa.int32(), "the tag's number in the column tags of the tagger's tables"),
    Column("name", pa.string(), "the tag as its publisher writes it"),
    Column(
        "category", pa.string(), "general, character, copyright, artist, meta, rating …; null if the tagger has none"
    ),
    Column(
        "threshold", pa.float32(), "the published threshold of the tag or of its category, 0-1; null without one", 0, 1
    ),
)
FINGERPRINT = "fingerprint"
"""Key of the footer: of the model that the list belongs to."""


def write_tag_list(
    tables: Tables, tagger: str, tags: Sequence[tuple[str, str | None, float | None]], fingerprint: str
) -> None:
    """Keep what the ids of a tagger mean, unless the list of this very model is there.

    Args:
        tables: the lake.
        tagger: its name, which is its tables' too.
        tags: name, category and threshold of each; the n-th has the id n.
        fingerprint: of the model.
    """
    footer = tables.footer_if_any(TagsRef(tagger))
    if footer is not None and footer.get(FINGERPRINT) == fingerprint:
        return
    names, categories, thresholds = zip(*tags, strict=True) if tags else ((), (), ())
    columns = [list(range(len(tags))), list(names), list(categories), list(thresholds)]
    schema = pa.schema([column.field() for column in COLUMNS])
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    tables.write(pa.table(arrays, schema=schema), TagsRef(tagger), footer={FINGERPRINT: fingerprint})
