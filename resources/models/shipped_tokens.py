"""The length of texts in the tokens of T5 and Qwen, the text encoders of FLUX.1, SD 3, LTX-Video and of Qwen-Image, Z-Image.

Belongs here: counting, with the vocabularies that ship beside this file (``vocabularies/``). Does not belong here: CLIP, whose
vocabulary ships with open_clip (``clip_tokens.py``), and the tokenizers of the Hub (``text_tokens.py``).
"""

import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from resources.models.clip_tokens import byte_letters

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARIES = Path(__file__).parent / "vocabularies"
T5, QWEN = "t5.json.gz", "qwen_merges.txt.gz"
WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""A word of Qwen 2, 2.5 and 3 (``pretokenize_regex`` of their ``tokenizer_config.json``)."""


def t5_tokens(text: str) -> int:
    """Tokens of a text in T5's and T5 1.1's pieces, the mark of its end not counted."""
    return len(_t5().encode(text, add_special_tokens=False).ids)


def qwen_tokens(text: str) -> int:
    """Tokens of a text in the byte pairs of Qwen 2, 2.5 and 3, which are the same; what a model puts around it is not counted."""
    return len(_qwen().encode(text, add_special_tokens=False).ids)


@cache
def _t5() -> "Tokenizer":
    from tokenizers import Tokenizer

    return Tokenizer.from_str(gzip.decompress((VOCABULARIES / T5).read_bytes()).decode())


@cache
def _qwen() -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    lines = gzip.decompress((VOCABULARIES / QWEN).read_bytes()).decode().splitlines()
    merges = [(first, second) for first, second in (line.split(" ") for line in lines[1:] if line)]
    entries = [*byte_letters(), *("".join(pair) for pair in merges)]
    found = Tokenizer(BPE(vocab={entry: n for n, entry in enumerate(dict.fromkeys(entries))}, merges=merges))
    found.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(WORD), behavior="isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    found.pre_tokenizer = pre_tokenizers.Sequence([split, letters])
    return found
