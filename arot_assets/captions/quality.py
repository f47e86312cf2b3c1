"""How good the texts of a captioner are, by the texts alone: a metric of stored columns, so a better rule asks nobody again.

Belongs here: the columns and what they mean. Does not belong here: whether a value is good enough, which is a predicate in SQL.

The phrases are those that captioners are known for; they are English, since their captions are. Lengths are counted in the
tokens of the text encoder that reads captions in training: CLIP's of SD and SDXL takes 77 with begin and end, T5's of Flux and
LTXV up to 512. Only CLIP's vocabulary ships with a package (open_clip) and needs no network.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.table import TEXT
from arot_assets.columns import Column
from arot_assets.metrics.metric import Metric, rows
from resources.models.clip_tokens import clip_tokens

VERSION = "1"
QUALITY = "_quality"
"""Ending of the table's name, after the captioner's."""
CLIP_TOKENS = 77
"""Of CLIP's text encoder, begin and end of text among them."""

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
    Column("latin", pa.float32(), "share of its letters that are Latin, 0-1; null without letters", 0, 1),
    Column("markdown", pa.bool_(), "has marks of Markdown: headings, bold, bullet points"),
)


def quality_metric(declaration: CaptionsDeclaration) -> Metric:
    """The metric ``<captioner>_quality`` of a captioner's texts."""
    source = f"{declaration.name}.{TEXT}"

    def compute(table: pa.Table) -> Mapping[str, Any]:
        return text_quality(table[source].to_pylist())

    return Metric(
        f"{declaration.name}{QUALITY}",
        VERSION,
        f"How good the texts of `{declaration.name}` are, by the texts alone: length, refusal, repetition, phrases.",
        COLUMNS,
        takes=rows(source),
        compute_rows=compute,
    )


def text_quality(texts: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of some texts.

    Args:
        texts: N of them, not null.

    Returns:
        column -> N values.
    """
    found = [_of_text(text) for text in texts]
    return {column.name: [one[column.name] for one in found] for column in COLUMNS}


def _of_text(text: str) -> dict[str, Any]:
    words = _WORD.findall(text.lower())
    letters = [c for c in text if c.isalpha()]
    data = text.encode()
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
    }


def repetition(words: Sequence[str]) -> float:
    """Share of the sequences of three words that occurred before in the same text, 0 to 1."""
    threes = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(threes)) / len(threes) if threes else 0.0


def _is_latin(letter: str) -> bool:
    code = ord(letter)
    return code < 0x250 or 0x1E00 <= code < 0x1F00
