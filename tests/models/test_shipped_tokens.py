"""The length of texts in the tokens of T5 and Qwen is the one that their own tokenizers count."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resources.models.shipped_tokens import qwen_tokens, t5_tokens
from tests.conftest import REPOSITORY
from tests.models.test_clip_tokens import TEXTS

ROOT = Path(os.environ.get("AROT_TRAINERS", "/nonexistent"))


def test_known_texts_count_what_their_own_tokenizers_said() -> None:
    """Counted with the files of Qwen-Image by `transformers`, and with `spiece.model` by `sentencepiece`."""
    assert [qwen_tokens(text) for text in TEXTS[:12]] == [0, 5, 121, 15, 5, 12, 10, 17, 15, 11, 8, 4]
    assert [t5_tokens(text) for text in TEXTS[:7]] == [0, 7, 160, 14, 2, 10, 11]
    assert sum(qwen_tokens(text) for text in TEXTS) == 1507


@pytest.mark.skipif(not ROOT.is_dir(), reason="AROT_TRAINERS has no checkouts")
def test_any_text_counts_what_a_trainers_tokenizer_counts() -> None:
    from transformers import Qwen2Tokenizer

    own = Qwen2Tokenizer.from_pretrained(str(ROOT / "diffusion-pipe" / "configs" / "qwen_image" / "tokenizer"))
    assert [qwen_tokens(t) for t in TEXTS] == [len(own(t, add_special_tokens=False)["input_ids"]) for t in TEXTS]


def test_counting_imports_no_pytorch() -> None:
    code = "import sys; from resources.models.shipped_tokens import t5_tokens; t5_tokens('a'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
