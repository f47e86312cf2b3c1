"""The questions that a report asks of a dataset, as data.

Belongs here: what is looked for, its SQL, and why the threshold is what it is. Does not belong here: asking (``answers.py``)
and showing (``page.py``, ``text.py``).

A question is a condition over ``wide``-like columns of named tables; people copy its SQL and change the threshold. Thresholds
were read off the licensed sample pictures of this project: ``sharpness`` under 5 holds for 12 of 12 photos blurred by 2 pixels
(sigma, at 336 pixels) and for none of their originals (21 and more), ``blockiness`` over 4 for 35 of 36 at JPEG quality 15 and
below (originals: at most 1.4), ``noise_sigma`` over 12 for noise of 30 gray levels (originals: at most 10.9).
"""

from dataclasses import dataclass
from typing import Literal

SAMPLES, CV2, PHASH = "samples", "cv2", "phash"


@dataclass(frozen=True)
class Question:
    """One thing that may be wrong with pictures.

    Attributes:
        name: a word for the command line and anchors.
        title: what the pictures are that it finds.
        where: a SQL condition over the columns of ``table`` and of ``samples``; ``{dataset}`` stands for the schema.
        table: the table that it needs beside ``samples``.
        order: an SQL expression; the worst come first.
        shows: an SQL expression, a text below each thumbnail.
        advice: what people do about it.
        scope: ``all`` rows of samples, or only those that are ``ok``.
    """

    name: str
    title: str
    where: str
    order: str
    shows: str
    advice: str
    table: str = SAMPLES
    scope: Literal["ok", "all"] = "ok"


def sql_of(question: Question, dataset: str) -> str:
    """The query of a question: one row for each picture found, the worst first.

    Args:
        question: which.
        dataset: the schema, a plain identifier as declarations allow it.
    """
    joined = "" if question.table == SAMPLES else f"\njoin {dataset}.{question.table} using (sample_id)"
    where = question.where.replace("{dataset}", dataset)
    conditions = where if question.scope == "all" else f"samples.status = 'ok' and ({where})"
    return (
        f"select sample_id, uri, cast({question.shows} as varchar) as shows\n"
        f"from {dataset}.samples{joined}\n"
        f"where {conditions}\n"
        f"order by {question.order}, uri"
    )


_SIZE = "width || ' x ' || height"
_LENGTH = "length(caption) || ' characters'"
_DETAIL = 16
"""Shorter sides of at least so many pixels: below, a measure of detail means nothing."""

QUESTIONS = (
    Question(
        "broken",
        "files that are no usable picture",
        "samples.status in ('corrupt', 'unreadable', 'unsupported')",
        "samples.status, reason",
        "coalesce(reason, samples.status)",
        "fetch them again or delete them at the source; `arot retry` reads them again",
        scope="all",
    ),
    Question(
        "equal",
        "files with the same bytes as another file",
        "samples.status = 'duplicate'",
        "duplicate_of",
        "'as ' || parse_filename(duplicate_of)",
        "nothing needs to be done: only the first of them counts",
        scope="all",
    ),
    Question(
        "same-look",
        "pictures that look the same as an earlier one: an equal perceptual hash",
        "sample_id in (select sample_id from {dataset}.samples join {dataset}.phash using (sample_id) "
        "where samples.status = 'ok' and phash is not null "
        "qualify row_number() over (partition by phash order by width * height desc, uri) > 1)",
        "phash.phash",
        "format('{:016x}', phash.phash)",
        "keep the largest of each, as the example model distinct_pictures does",
        table=PHASH,
    ),
    Question(
        "tiny",
        "pictures whose shorter side is below 256 pixels",
        "least(width, height) < 256",
        "least(width, height)",
        _SIZE,
        "too small for any trainer's bucket without enlarging: leave them out",
    ),
    Question(
        "odd-shaped",
        "pictures whose longer side is more than 3 times the shorter",
        "greatest(width, height) > 3 * least(width, height)",
        "greatest(width, height) / least(width, height) desc",
        _SIZE,
        "most trainers' buckets end at 1:2 or 1:3, the rest is cropped away: crop or leave out",
    ),
    Question(
        "dark",
        "dark pictures: a mean gray level below 40 of 255",
        "brightness < 40",
        "brightness",
        "'brightness ' || round(brightness, 1)",
        "night scenes belong here too: look before you leave them out",
        table=CV2,
    ),
    Question(
        "bright",
        "bright pictures: a mean gray level above 240 of 255",
        "brightness > 240",
        "brightness desc",
        "'brightness ' || round(brightness, 1)",
        "often drawings on an empty page: crop them, or leave them out",
        table=CV2,
    ),
    Question(
        "blurry",
        "blurry pictures: sharpness below 5",
        f"sharpness < 5 and least(width, height) >= {_DETAIL}",
        "sharpness",
        "'sharpness ' || round(sharpness, 1)",
        "plain drawings and skies belong here too: look before you leave them out",
        table=CV2,
    ),
    Question(
        "low-information",
        "pictures of nearly one tone: entropy below 0.5 bits",
        "entropy < 0.5",
        "entropy",
        "'entropy ' || round(entropy, 2)",
        "blank pages, placeholders, failed renderings",
        table=CV2,
    ),
    Question(
        "blocky",
        "pictures with visible JPEG blocks: blockiness above 4",
        "blockiness > 4",
        "blockiness desc",
        "'blockiness ' || round(blockiness, 1)",
        "compressed at a quality of about 15 or less: look for a better copy",
        table=CV2,
    ),
    Question(
        "noisy",
        "noisy pictures: noise_sigma above 12 gray levels",
        "noise_sigma > 12",
        "noise_sigma desc",
        "'noise ' || round(noise_sigma, 1)",
        "fine texture counts as noise: look before you leave them out",
        table=CV2,
    ),
    Question(
        "bars",
        "pictures with bars or margins over more than a tenth of a side",
        "greatest(border_top, border_bottom, border_left, border_right) > 0.1",
        "border_top + border_bottom + border_left + border_right desc",
        "'margins ' || round(100 * greatest(border_top, border_bottom, border_left, border_right))::int || ' %'",
        "a generator learns bars: crop them away",
        table=CV2,
    ),
    Question(
        "no-caption",
        "pictures without caption and without tags",
        "coalesce(trim(caption), '') = '' and coalesce(len(tags), 0) = 0",
        "uri",
        "parse_filename(uri)",
        "caption them, or train without text",
    ),
    Question(
        "long-caption",
        "captions of more than 75 words, which CLIP's 77 tokens cannot hold",
        "len(string_split_regex(trim(caption), '\\s+')) > 75",
        "length(caption) desc",
        _LENGTH,
        "fine for T5 and for Qwen; SD and SDXL see the beginning only",
    ),
    Question(
        "repeated-caption",
        "captions that more than two pictures share",
        "caption in (select caption from {dataset}.samples where status = 'ok' and trim(caption) <> '' "
        "group by caption having count(*) > 2)",
        "caption",
        "caption",
        "a title of a series, or a failed captioner: it teaches the same words for different pictures",
    ),
    Question(
        "noted",
        "usable files with something worth knowing: another extension, an animation, trailing data …",
        "len(notes) > 0",
        "array_to_string(notes, ', ')",
        "array_to_string(notes, ', ')",
        "the page Tables and columns says what each note means",
    ),
)
