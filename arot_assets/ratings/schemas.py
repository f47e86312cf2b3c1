"""The columns of the tables that are made from ratings.

Belongs here: their schemas. Does not belong here: making them (``trust.py``, ``raters.py``, ``split.py``).
"""

import pyarrow as pa

from arot_assets.columns import Column

SCALE_SCHEMA = pa.schema(
    [
        column.field()
        for column in (
            Column("sample_id", pa.string(), "the sample"),
            Column(
                "value",
                pa.float64(),
                "on the scale of scores, as the average rater would give it; without scores, standard normal",
            ),
            Column("standard_error", pa.float64(), "of `value`, in the same unit"),
            Column("n", pa.int64(), "ratings that it rests on"),
            Column("scores", pa.int64(), "scores among them"),
            Column("comparisons", pa.int64(), "pairs and rankings among them"),
            Column("raters", pa.int64(), "different raters among them"),
            Column("mean", pa.float64(), "plain mean of its scores, for comparison"),
            Column(
                "disagreement",
                pa.float64(),
                "standard deviation of its scores after each rater's own use of the scale is taken out",
            ),
            Column("part", pa.int64(), "values are comparable within a part; nothing but the prior connects parts"),
        )
    ]
)
LABELS_SCHEMA = pa.schema(
    [
        column.field()
        for column in (
            Column("sample_id", pa.string(), "the sample"),
            Column("label", pa.string(), "the class that most raters gave; null if two have as many votes"),
            Column("share", pa.float64(), "of the votes that the most frequent class has"),
            Column("n", pa.int64(), "raters"),
            Column("entropy", pa.float64(), "of the votes, in nats: 0 if all agree"),
            Column("labels", pa.list_(pa.string()), "of several labels, those that at least half of the raters gave"),
        )
    ]
)
