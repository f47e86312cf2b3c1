"""The questions that a report asks about every dataset, and the SQL of a question.

Belongs here: questions about files, duplicates and captions, whatever the medium. Does not belong here: those of one
medium (``media/*/questions.py``), answering (``answers.py``) and showing (``page.py``, ``text.py``).
"""

from dataclasses import replace

from arot_assets.media.medium import Medium
from arot_assets.media.question import QualityQuestion

SAMPLES = "samples"


def questions_of(medium: Medium) -> tuple[QualityQuestion, ...]:
    """All questions about a dataset of this medium, in the medium's terms."""
    return tuple(_in_words(question, medium.name) for question in (*QUESTIONS, *medium.questions))


def _in_words(question: QualityQuestion, medium: str) -> QualityQuestion:
    title, advice = (text.replace("{medium}", medium) for text in (question.title, question.advice))
    return replace(question, title=title, advice=advice)


def sql_of(question: QualityQuestion, dataset: str) -> str:
    """The query of a question: one row per file found, most extreme first.

    Args:
        question: the question.
        dataset: the schema; declarations allow only plain identifiers.
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


_LENGTH = "length(caption) || ' characters'"

QUESTIONS = (
    QualityQuestion(
        "broken",
        "files that are not usable {medium}s",
        "samples.status in ('corrupt', 'unreadable')",
        "samples.status, reason",
        "coalesce(reason, samples.status)",
        "fetch them again or delete them at the source; `arot retry` reads them again",
        scope="all",
    ),
    QualityQuestion(
        "equal",
        "files with the same bytes as another file",
        "samples.status = 'duplicate'",
        "duplicate_of",
        "'as ' || parse_filename(duplicate_of)",
        "no action needed: only the first of them counts",
        scope="all",
    ),
    QualityQuestion(
        "no-caption",
        "{medium}s without a caption and without tags",
        "coalesce(trim(caption), '') = '' and coalesce(len(tags), 0) = 0",
        "uri",
        "parse_filename(uri)",
        "caption them, or train without text",
    ),
    QualityQuestion(
        "long-caption",
        "captions of more than 75 words, which do not fit into CLIP's 77 tokens",
        "len(string_split_regex(trim(caption), '\\s+')) > 75",
        "length(caption) desc",
        _LENGTH,
        "fine for T5 and Qwen; SD and SDXL see only the beginning",
    ),
    QualityQuestion(
        "repeated-caption",
        "captions that more than two {medium}s share",
        "caption in (select caption from {dataset}.samples where status = 'ok' and trim(caption) <> '' "
        "group by caption having count(*) > 2)",
        "caption",
        "caption",
        "the title of a series, or a captioner that failed: it teaches the same words for different {medium}s",
    ),
    QualityQuestion(
        "noted",
        "usable files with something worth knowing: the wrong extension, an animation, trailing data …",
        "len(notes) > 0",
        "array_to_string(notes, ', ')",
        "array_to_string(notes, ', ')",
        "the page “Tables and columns” explains each note",
    ),
)
