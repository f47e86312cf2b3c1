"""Files that lie beside an image and describe it: captions, tags, records.

Belongs here: finding the sidecars of an image by name, and reading them.
Does not belong here: fetching them, and what is written inside the image itself (``generation``).

An image ``a/b.png`` has the sidecars ``a/b.EXT`` (same stem) and ``a/b.png.EXT`` (the whole name; it wins), where EXT is one of:

- ``caption``: a caption.
- ``txt``: a caption, or a booru-style list of tags when ``is_tag_list`` says so.
- ``json``: kept whole; its ``tags`` (a list, or a comma separated string) are tags, and its ``caption``, or else ``title``, is
  the caption if neither of the others gave one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from arot_assets.jsontext import dump_json, parse_json, storable_text

EXTENSIONS = ("caption", "txt", "json")
"""Extensions of sidecars, in lower case; upper case is found too."""

MAX_BYTES = 4 * 1024 * 1024
"""Larger sidecars are not one image's: they are ``bad_sidecar``."""

BAD_SIDECAR = "bad_sidecar"
"""The note for a sidecar that can't be read (broken JSON, binary data, too large)."""

MAX_TAG_WORDS = 6
MAX_TAG_LENGTH = 64

_MARK = re.compile(r"\w_\w|^\d\+?(girl|boy|other)s?$|^(solo|no humans)$", re.IGNORECASE)


@dataclass(frozen=True)
class Sidecar:
    """What the sidecars of one image say.

    Attributes:
        caption: text for people, None without one.
        tags: in the order of the files (txt before json), each once.
        sidecar: the whole of the JSON sidecar as JSON text, None without one.
        problems: notes for the sample: ``bad_sidecar`` if some sidecar could not be read.
    """

    caption: str | None = None
    tags: tuple[str, ...] = ()
    sidecar: str | None = None
    problems: tuple[str, ...] = ()


def sidecar_stems(uris: Iterable[str]) -> dict[str, dict[str, str]]:
    """Sidecars by the URI without their extension: ``{"a/b": {"txt": "a/b.txt"}}``. Other files are passed over.

    Of two names that differ only in the case of the extension, the first in the order of characters is taken.
    """
    stems: dict[str, dict[str, str]] = {}
    for uri in uris:
        stem, dot, extension = uri.rpartition(".")
        extension = extension.lower()
        if dot and extension in EXTENSIONS and not stem.endswith("/"):
            known = stems.setdefault(stem, {})
            known[extension] = min(uri, known.get(extension, uri))
    return stems


def sidecars_of(uri: str, stems: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The sidecars ``{extension: uri}`` of an image, from what ``sidecar_stems`` returned."""
    folder, slash, name = uri.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    same_stem = stems.get(folder + slash + stem, {}) if dot and stem else {}
    return {**same_stem, **stems.get(uri, {})}


def parse_sidecars(files: Mapping[str, bytes]) -> Sidecar:
    """Read the sidecars of one image.

    Args:
        files: their bytes by extension (one of ``EXTENSIONS``; case and a leading dot don't matter).

    Returns:
        What they say. Files that can't be read become a note in ``problems``; nothing is raised.
    """
    texts = {extension.lower().removeprefix("."): _text(data) for extension, data in files.items()}
    bad = any(text is None for text in texts.values())
    caption = _caption(texts.get("caption"))
    tags: list[str] = []
    txt = texts.get("txt") or ""
    if is_tag_list(txt):
        tags += split_tags(txt)
    else:
        caption = caption or _caption(txt)
    record = None
    if texts.get("json") is not None:
        try:
            record = parse_json(str(texts["json"]))
        except ValueError:
            bad = True
    if isinstance(record, dict):
        found, well_formed = _json_tags(record.get("tags"))
        tags += found
        bad |= not well_formed
        for key in ("caption", "title"):
            if caption is None and isinstance(record.get(key), str):
                caption = _caption(record[key])
    return Sidecar(
        caption=caption,
        tags=tuple(dict.fromkeys(tags)),
        sidecar=None if record is None else dump_json(record),
        problems=(BAD_SIDECAR,) if bad else (),
    )


def is_tag_list(text: str) -> bool:
    r"""Whether a text is a list of booru-style tags rather than a caption. All of these hold:

    1. split at commas and line ends, it has at least two parts (or is one part that is a single word with an underscore);
    2. each part has at most ``MAX_TAG_WORDS`` words and ``MAX_TAG_LENGTH`` characters and does not end like a sentence;
    3. some part carries a mark that prose does not have: an underscore inside a word (``long_hair``), a head count (``1girl``,
       ``2boys``), ``solo`` or ``no humans``.
    """
    parts = split_tags(text)
    if not parts or (len(parts) == 1 and (" " in parts[0] or "_" not in parts[0])):
        return False
    if any(len(p) > MAX_TAG_LENGTH or len(p.split()) > MAX_TAG_WORDS or re.search(r"\w[.!?]$", p) for p in parts):
        return False
    return any(_MARK.search(part) for part in parts)


def split_tags(text: str) -> list[str]:
    r"""Tags between commas and line ends, trimmed, in order; the escapes ``\(`` and ``\)`` of prompts are undone."""
    parts = (part.strip() for part in re.split(r"[,\r\n]", text))
    return [part.replace("\\(", "(").replace("\\)", ")") for part in parts if part]


def _json_tags(value: Any) -> tuple[list[str], bool]:
    """Tags of a JSON record, and whether they have one of the two known forms."""
    if value is None:
        return [], True
    if isinstance(value, str):
        return split_tags(value), True
    if isinstance(value, list):
        words = [item.strip() for item in value if isinstance(item, str)]
        return [word for word in words if word], all(isinstance(item, str) for item in value)
    return [], False


def _caption(text: str | None) -> str | None:
    """A caption with plain line ends and no space around it; None if nothing is left."""
    return (text or "").replace("\r\n", "\n").strip() or None


def _text(data: bytes) -> str | None:
    """Decode UTF-16 or UTF-8 by a byte order mark, else UTF-8, else Windows-1252 (Latin-1); None for binary data."""
    if len(data) > MAX_BYTES:
        return None
    encodings = ("utf-16",) if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text) else storable_text(text)
    return None
