"""The length of captions in the tokens of the text encoders that read them.

Belongs here: CLIP's tokenizer, whose vocabulary ships with open_clip; tokenizers of other models from their files. Does not
belong here: what is done about long captions.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from arot_assets.exports.errors import ExportError

CLIP_LIMIT = 75
"""Tokens of a caption that one pass of CLIP reads: 77 without begin and end. SD 1.5 and SDXL cut there, unless the trainer's
``max_token_length`` is 150 or 225."""


def clip_tokens(captions: Sequence[str]) -> list[int]:
    """Tokens of each caption in CLIP's vocabulary, without begin and end (SD, SDXL, Flux's first encoder)."""
    encode = _clip().encode
    return [len(encode(caption)) for caption in captions]


def tokens(captions: Sequence[str], folder: Path) -> list[int]:
    """Tokens of each caption for a model whose tokenizer files are in a folder (T5, Llama, Qwen …).

    Raises:
        ExportError: there is no tokenizer in the folder.
    """
    tokenizer = _other(folder)
    return [len(ids) for ids in tokenizer(list(captions), add_special_tokens=False)["input_ids"]]


@cache
def _clip() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


@cache
def _other(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise ExportError(
            f"'{folder}' has no tokenizer: {str(error).splitlines()[0]}; copy tokenizer.json and tokenizer_config.json of the "
            "model there"
        ) from error
