"""How good the texts of a captioner are, by texts and tags alone: a metric of stored columns, so a better rule asks nobody again.

Belongs here: the columns and what they mean. Does not belong here: whether a value is good enough, which is a predicate in SQL.

The phrases are those that captioners are known for; they are English, since their captions are. Lengths are counted in the
tokens of the text encoder that reads captions in training: CLIP's of SD and SDXL takes 77 with begin and end, T5's of Flux and
LTXV up to 512. Only CLIP's vocabulary ships with a package (open_clip) and needs no network; the others are those that the
captioner's declaration names in ``tokenizers``.
"""

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from arot_assets.captions import camera
from arot_assets.captions.contradictions import contradictions
from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.language import PACKAGE, language_of, release
from arot_assets.captions.table import TEXT
from arot_assets.columns import Column
from arot_assets.metrics.metric import Metric, rows
from resources.models.clip_tokens import clip_tokens
from resources.tables import SAMPLES

VERSION = "2"
QUALITY = "_quality"
"""Ending of the table's name, after the captioner's."""

REFUSALS = re.compile(
    r"\b(?:i(?:'|’)?m (?:sorry|unable)|i (?:can(?:no|')t|am unable|cannot|won't) (?:assist|help|provide|describe|identify|create"
    r"|comply|generate|fulfil)|i must decline|as an ai\b|against my (?:guidelines|policy)|not able to (?:help|assist|describe))",
    re.IGNORECASE,
)
FRAMING = re.compile(
    r"\b(?:(?:the|this) (?:image|picture|photo(?:graph)?|illustration|scene|artwork) "
    r"(?:shows|depicts|features|is of|displays|captures|presents|portrays|appears|illustrates)"
    r"|in (?:the|this) (?:image|picture|photo)|(?:overall|in (?:summary|conclusion)),"
    r"|here(?:'s| is) (?:a|the) (?:caption|description)|certainly[!,.]|sure[!,.])",
    re.IGNORECASE,
)
HEDGES = re.compile(
    r"\b(?:possibly|perhaps|likely|might be|may be|seems to|appears to|suggest(?:s|ing))\b", re.IGNORECASE
)
_WORD = re.compile(r"\w+(?:['’]\w+)?")
_END = re.compile(r"[.!?…。！？\"'”’)\]]\s*\Z")

COLUMNS = (
    Column("characters", pa.int32(), "characters of the text", 0),
    Column("words", pa.int32(), "words of the text", 0),
    Column("clip_tokens", pa.int32(), "tokens of CLIP's text encoder, begin and end counted; it reads 77", 2),
    Column("refusal", pa.bool_(), "the model says that it cannot or will not answer"),
    Column(
        "framing", pa.bool_(), "talk about the picture instead of what it shows: “the image shows”, “here is a caption”"
    ),
    Column("hedges", pa.int32(), "words of doubt: possibly, appears to, suggesting …", 0),
    Column("open_end", pa.bool_(), "several words without a closing mark at the end: cut off, or a list of tags"),
    Column("repetition", pa.float32(), "share of three-word sequences that occurred before, 0-1", 0, 1),
    Column(
        "compression",
        pa.float32(),
        "size of the UTF-8 text over its zlib-compressed size; above 4 it repeats itself",
        0,
    ),
    Column(
        "latin", pa.float32(), "share of its letters that are Latin, 0-1; null without letters", 0, 1, nullable=True
    ),
    Column("markdown", pa.bool_(), "has marks of Markdown: headings, bold, bullet points"),
    Column(
        "language",
        pa.string(),
        "the most probable language, ISO 639-1 (py3langid); null without letters, and without `pip install 'arot[language]'`",
    ),
    Column(
        "language_probability",
        pa.float32(),
        "of that language; low for a few words, or tags; null where the language is",
        0,
        1,
        nullable=True,
    ),
    Column(
        "contradictions",
        pa.list_(pa.string()),
        "what it says that the sample's own tags exclude, as tag: “words”: a man where the tags count girls only, several people "
        "under `solo`, another colour of hair or eyes, another place or time; null without tags",
    ),
)
TAGS = f"{SAMPLES}.tags"


def quality_metric(declaration: CaptionsDeclaration) -> Metric:
    """The metric ``<captioner>_quality`` of a captioner's texts."""
    source = f"{declaration.name}.{TEXT}"
    tokenizers = declaration.tokenizers

    of_camera = camera.speaks_of_camera(declaration)

    def compute(table: pa.Table) -> Mapping[str, Any]:
        texts = table[source].to_pylist()
        found = text_quality(texts, table[TAGS].to_pylist())
        if of_camera:
            steps = {name: table[f"{camera.STEPS}.{name}"] for name in camera.MEASURED}
            found |= camera.camera_words(table[f"{declaration.name}.{camera.FIELD}"], steps)
        return found | {_tokens(name): list(map(count, texts)) for name, count in _counters(tokenizers).items()}

    own = (Column(_tokens(name), pa.int32(), f"tokens of {uri}, with its marks", 0) for name, uri in tokenizers.items())
    return Metric(
        f"{declaration.name}{QUALITY}",
        VERSION,
        f"How good the texts of `{declaration.name}` are, by the texts and tags alone: length, refusal, repetition, phrases.",
        (*COLUMNS, *own, *(camera.COLUMNS if of_camera else ())),
        params={PACKAGE: release(), "tokenizers": tokenizers},
        takes=rows(source, TAGS, *(camera.taken(declaration) if of_camera else ())),
        compute_rows=compute,
    )


def _tokens(name: str) -> str:
    """The column of a declared tokenizer."""
    return f"{name}_tokens"


def _counters(tokenizers: Mapping[str, str]) -> dict[str, Callable[[str], int]]:
    """Name -> what counts a text's tokens.

    Raises:
        ModelError: a tokenizer cannot be had; told before any row.
    """
    if not tokenizers:
        return {}
    from resources.defaults import default_resources
    from resources.models.text_tokens import token_counter

    files = default_resources().models.files
    return {name: token_counter(uri, files) for name, uri in tokenizers.items()}


def text_quality(texts: Sequence[str], tags: Sequence[Sequence[str] | None] | None = None) -> dict[str, list[Any]]:
    """The columns of some texts.

    Args:
        texts: N of them, not null.
        tags: of the same N samples; None or an empty one where there are none.

    Returns:
        column -> N values.
    """
    found = [_of_text(text, of) for text, of in zip(texts, tags or [None] * len(texts), strict=True)]
    return {column.name: [one[column.name] for one in found] for column in COLUMNS}


def _of_text(text: str, tags: Sequence[str] | None) -> dict[str, Any]:
    words = _WORD.findall(text.lower())
    letters = [c for c in text if c.isalpha()]
    data = text.encode()
    language, probability = language_of(text)
    return {
        "characters": len(text),
        "words": len(words),
        "clip_tokens": clip_tokens(text) + 2,  # begin and end
        "refusal": REFUSALS.search(text) is not None,
        "framing": FRAMING.search(text) is not None,
        "hedges": len(HEDGES.findall(text)),
        "open_end": len(words) > 3 and _END.search(text) is None,
        "repetition": repetition(words),
        "compression": len(data) / len(zlib.compress(data, 9)) if data else 1.0,
        "latin": sum(_is_latin(c) for c in letters) / len(letters) if letters else None,
        "markdown": re.search(r"^\s*(?:#{1,6}\s|[-*•]\s|\d+\.\s)|\*\*|__|```", text, re.MULTILINE) is not None,
        "language": language,
        "language_probability": probability,
        "contradictions": contradictions(text, tags) if tags else None,
    }


def repetition(words: Sequence[str]) -> float:
    """Share of the sequences of three words that occurred before in the same text, 0 to 1."""
    threes = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(threes)) / len(threes) if threes else 0.0


def _is_latin(letter: str) -> bool:
    code = ord(letter)
    return code < 0x250 or 0x1E00 <= code < 0x1F00
