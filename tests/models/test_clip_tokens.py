"""The length of texts in CLIP's tokens is the one that open_clip counts."""

import subprocess
import sys

import pytest

from resources.models.clip_tokens import clip_tokens
from tests.conftest import REPOSITORY

TEXTS = [
    *(
        "",
        "a photo of a cat",
        "a cat, " * 40,
        "1girl, solo, long_hair (artist:1.2)",
        "猫が寝ている。",
        "don't; I'LL 12345",
    ),
    *("ﬁne — “quoted” 🐈 e\u0301", "x\x1c\x85\u00a0\u2003y &amp;amp; &lt;b&gt;", "ΑΣΣ İSTANBUL ſt'S \u212a'LL"),
    *("<start_of_text> a <END_OF_TEXT>", "aaaaaaaaa ababababa !!!!!!", "schÃ¶n"),
    *(chr(first) + chr(first + 7) * 3 + " a" + chr(first + 13) for first in range(0x21, 0x3000, 97)),
]


def test_begin_and_end_are_not_counted() -> None:
    assert [clip_tokens(text) for text in TEXTS[:3]] == [0, 5, 120]


@pytest.mark.slow
def test_any_text_counts_what_open_clip_counts() -> None:
    """Signs of every script, marks of CLIP's own, what ftfy repairs, HTML, and runs of pairs that overlap."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    assert [clip_tokens(text) for text in TEXTS] == [len(tokenizer.encode(text)) for text in TEXTS]


def test_counting_imports_no_pytorch() -> None:
    code = "import sys; from resources.models.clip_tokens import clip_tokens; clip_tokens('a'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
