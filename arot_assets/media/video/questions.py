"""What a report asks of films, as data.

Belongs here: conditions on the columns of films, with the reason for each threshold. Does not belong here: what is
asked of every medium (``report/questions.py``).
"""

from arot_assets.media.question import QualityQuestion, unsupported

QUESTIONS = (
    unsupported("sound only, formats without a decoder, films above the limits"),
    QualityQuestion(
        "short",
        "{medium}s of less than half a second, which make no clip",
        "seconds < 0.5",
        "seconds",
        "round(seconds, 2) || ' s'",
        "leave them out, or use them as images",
    ),
    QualityQuestion(
        "variable-frame-rate",
        "{medium}s with a variable frame rate",
        "is_vfr",
        "largest_gap_s desc",
        "round(avg_fps, 2) || ' fps on average'",
        "clips of them are resampled by time stamps; tools that count frames cut them at wrong places",
    ),
    QualityQuestion(
        "interlaced",
        "{medium}s that are interlaced, flagged or not",
        "is_interlaced",
        "uri",
        "codec || ' ' || coded_height || ' lines' || case when interlaced_flag then '' else ', not flagged' end",
        "fields are turned into frames before anything is measured or cut; look at one of the stills",
        table="decoded",
    ),
    QualityQuestion(
        "hdr",
        "{medium}s of high dynamic range",
        "hdr is not null",
        "uri",
        "hdr",
        "they are tone-mapped for measuring and cutting; compare a still with the film in your player",
    ),
    QualityQuestion(
        "damaged-frames",
        "{medium}s with frames that are decoded from damaged data",
        "len(damaged_from) > 0",
        "len(damaged_from) desc",
        "len(damaged_from) || ' damaged spans'",
        "these frames belong to no clip; look for a better copy",
        table="decoded",
    ),
)
