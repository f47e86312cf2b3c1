"""The length of texts in the tokens of any text encoder that publishes a ``tokenizer.json``: T5 of Flux, Qwen of Qwen-Image …

Belongs here: bringing the file of a pinned commit into the model cache, and counting. Does not belong here: CLIP, T5
and Qwen of known vocabularies, which are counted without fetching anything (``clip_tokens.py``, ``shipped_tokens.py``).
"""

import hashlib
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from resources.beside import folder_beside
from resources.models.entry import ModelError
from resources.models.weights import ModelCache
from resources.storage import StorageError

ADDRESS = re.compile(r"hf://models/[\w.-]+/[\w.-]+@[0-9a-f]{40}/(?:[\w.-]+/)*tokenizer\.json")
"""A file of a commit, which never changes; a branch would, and the numbers with it."""


def token_counter(address: str, cache: ModelCache) -> Callable[[str], int]:
    """The function that counts a text's tokens as the encoder is given them, marks of begin and end among them.

    Args:
        address: ``hf://models/OWNER/NAME@COMMIT/tokenizer.json``.
        cache: where the file is kept, and what it is fetched with; fetched once per machine.

    Raises:
        ModelError: not of a commit, not to be had, or no tokenizer.
    """
    if not ADDRESS.fullmatch(address):
        raise ModelError(
            f"tokenizer '{address}': write hf://models/OWNER/NAME@COMMIT/tokenizer.json with a commit of 40 hex digits"
        )
    tokenizer = _read(address, _file(address, cache))
    return lambda text: len(tokenizer.encode(text).ids)


def _file(address: str, cache: ModelCache) -> Path:
    folder = cache.root / "tokenizers" / hashlib.sha256(address.encode()).hexdigest()[:16]
    file = folder / "tokenizer.json"
    if file.is_file():
        return file
    if cache.offline:
        raise ModelError(
            f"tokenizer '{address}' is not on this machine, and resources.models.offline is set; unset it, or copy the file to "
            f"{file}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with folder_beside(cache.root) as beside:
        try:
            os.replace(cache.storage.download(address, beside / file.name), file)
        except StorageError as error:
            raise ModelError(f"tokenizer: {error}; or take it out of `tokenizers`") from error
    return file


@lru_cache(maxsize=8)
def _read(address: str, file: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more precise
        raise ModelError(
            f"tokenizer '{address}': {file} is no tokenizer ({error}); remove the file to fetch it again"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
