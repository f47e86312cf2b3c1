"""The length of texts in the tokens of CLIP's text encoder, which SD, SDXL and Flux train with.

Belongs here: counting, with the vocabulary that ships with open_clip. Does not belong here: what is done about long texts.

open_clip's own tokenizer counts the same, but importing it imports PyTorch: five seconds for a number. Its steps are done here by
the libraries that it names, and ``tokenizers`` merges the byte pairs.
"""

import gzip
import html
import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers.models import BPE

VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
MERGES = 49152 - 256 - 2
"""Byte pairs of the vocabulary, after its title; what follows in the file is unused."""
END_OF_WORD = "</w>"
MARKS = ("<start_of_text>", "<end_of_text>")
WORD = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""A word of CLIP (Radford et al. 2021, ``simple_tokenizer.py`` of its code): an ending, letters, one digit, or other signs."""


def clip_tokens(text: str) -> int:
    """Tokens of a text in CLIP's byte-pair encoding, begin and end of text not counted; the encoder reads 75 of them."""
    import ftfy

    clean = " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()
    letters, pairs = byte_letters(), _pairs()
    words = _words().findall(clean)
    return sum(1 if w in MARKS else len(pairs.tokenize("".join(letters[b] for b in w.encode()))) for w in words)


@cache
def _words() -> Any:
    import regex  # type: ignore[import-untyped]

    return regex.compile("|".join((*MARKS, WORD)), regex.IGNORECASE)


@cache
def byte_letters() -> list[str]:
    """The letter that stands for each byte: itself if it can be printed, else one of those from U+0100."""
    printed = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printed else next(others)) for byte in range(256)]


@cache
def _pairs() -> "BPE":
    from tokenizers.models import BPE

    spec = importlib.util.find_spec("open_clip")  # finds the package, and does not import it
    assert spec is not None and spec.submodule_search_locations is not None, "open_clip is a dependency"
    lines = gzip.decompress((Path(spec.submodule_search_locations[0]) / VOCABULARY).read_bytes()).decode().split("\n")
    merges = [(first, second) for first, second in (line.split() for line in lines[1 : MERGES + 1])]
    letters = byte_letters()
    entries = [*letters, *(letter + END_OF_WORD for letter in letters), *("".join(pair) for pair in merges)]
    return BPE(vocab={entry: n for n, entry in enumerate(entries)}, merges=merges, end_of_word_suffix=END_OF_WORD)
