"""Files beside a sample that describe it: captions, tags, records.

Belongs here: reading the sidecars of a sample. Does not belong here: which files they are (``pairing.py``), fetching
them, and data inside the file itself (``generation``).

By their extension:

- ``caption``: a caption.
- ``txt``: a caption, or a booru-style list of tags if ``is_tag_list`` says so; several captions if each line is one. Of
  a web UI text only the prompt counts.
- ``json``: kept whole; its tags (``records.record_tags``) are tags, and the first of ``CAPTION_KEYS`` is the caption if
  the other files have none.

Nothing is lost: whatever is neither the caption nor a tag is in ``sidecar``: JSON as it is, and each text under the
name of its kind, ``.txt`` or ``.caption``; JSON that is not an object is then under ``.json``. Undecodable bytes are
there as ``{"base64": …}``.
"""

import base64
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from arot_assets.datasets.encodings import read_text
from arot_assets.datasets.records import captions_of, record_tags
from arot_assets.datasets.tag_lists import is_tag_list, split_tags
from arot_assets.jsontext import dump_json, parse_json
from arot_assets.media.webui import read_webui

EXTENSIONS = ("caption", "txt", "json")
"""Extensions of sidecars, in lower case; upper case is recognized too."""

MAX_BYTES = 4 * 1024 * 1024
"""Larger files cannot belong to a single sample: they are ``bad_sidecar``."""

BAD_SIDECAR = "bad_sidecar"
"""The note for a sidecar that can't be read (broken JSON, binary data, too large)."""

SEVERAL_CAPTIONS = "several_captions"
"""The note for more than one caption: the column has the first, ``sidecar`` the others."""

NOTES: Mapping[str, str] = {
    BAD_SIDECAR: "some caption, tag or JSON file beside it, or list entry of it can't be read, or its encoding is not "
    "certain; what is not in `caption` and `tags` is in `sidecar`",
    SEVERAL_CAPTIONS: "more than one caption; `caption` is the first, the others are in `sidecar`",
}
"""Every note about sidecars, and its meaning."""

CAPTION_KEYS = ("caption", "captions", "text", "alt", "title")
"""Keys of a JSON record that contain its caption, the first that exists; case does not matter."""

MAX_KEPT = 64 * 1024
"""Undecodable bytes are kept in ``sidecar`` up to this size, in Base64."""

FEWEST_LINES = 3
"""At least this many lines, each a text in itself, are captions of one sample."""
LONGEST_LINE = 300

_LINKED = re.compile(
    r"(it|its|he|she|they|this|these|those|there|his|her|their|overall|additionally|also|behind|above|below|around"
    r"|(in|on|at|to) the|the (image|picture|photo|background|foreground|scene|overall|lighting|style|mood|colou?rs?))\b"
    r"|[-*•\d]+[.) ]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sidecar:
    """The contents of the sidecars of one sample.

    Attributes:
        caption: the caption, None if there is none.
        tags: in the order of the files (txt before json), without duplicates.
        sidecar: JSON text: the whole JSON sidecar, and texts that are not entirely in ``caption`` and ``tags``; or
            None.
        problems: notes for the sample, keys of ``NOTES``.
    """

    caption: str | None = None
    tags: tuple[str, ...] = ()
    sidecar: str | None = None
    problems: tuple[str, ...] = ()


@dataclass
class _SidecarParts:
    """What has been read so far."""

    captions: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def parse_sidecars(files: Mapping[str, bytes]) -> Sidecar:
    """Read the sidecars of one sample.

    Args:
        files: their bytes by extension (one of ``EXTENSIONS``; case and a leading dot do not matter).

    Returns:
        Their contents. Files that cannot be read become a note in ``problems``; nothing is raised.
    """
    by_kind = {extension.lower().removeprefix("."): data for extension, data in files.items()}
    said = _SidecarParts()
    record: Any = None
    for kind in EXTENSIONS:
        if kind not in by_kind:
            continue
        data = by_kind[kind]
        text, sure = read_text(data) if len(data) <= MAX_BYTES else (None, False)
        if not sure:
            said.notes.append(BAD_SIDECAR)
        if text is None:
            if len(data) <= MAX_KEPT:
                said.kept[f".{kind}"] = as_base64(data)
        elif kind == "json":
            record = _read_json(text, said)
        else:
            _read_plain(kind, text, said)
    return Sidecar(
        caption=said.captions[0] if said.captions else None,
        tags=tuple(dict.fromkeys(said.tags)),
        sidecar=together(record, said.kept),
        problems=tuple(dict.fromkeys(said.notes)),
    )


def as_base64(data: bytes) -> dict[str, str]:
    """Undecodable bytes, in the form that ``sidecar`` uses."""
    return {"base64": base64.b64encode(data).decode()}


def together(record: Any, kept: Mapping[str, Any]) -> str | None:
    """JSON text of a record and of everything else that is kept; None if there is nothing."""
    if not kept:
        return None if record is None else dump_json(record)
    rest = record if isinstance(record, dict) else {} if record is None else {".json": record}
    return dump_json({**rest, **kept})


def _read_plain(kind: str, text: str, said: _SidecarParts) -> None:
    """Read a ``.caption`` or ``.txt`` file."""
    parts = read_webui(text)
    prompt = parts.prompt if parts.is_certain else text
    whole = not parts.is_certain
    if kind == "txt" and is_tag_list(prompt):
        said.tags += split_tags(prompt)
    else:
        captions = lines_of_captions(prompt)
        if len(captions) > 1:
            said.notes.append(SEVERAL_CAPTIONS)
        whole &= not captions or (len(captions) == 1 and not said.captions)
        said.captions += captions
        if len(captions) > 1 and not parts.is_certain:
            said.kept[f".{kind}"] = captions
            return
    if not whole:
        said.kept[f".{kind}"] = text.strip()


def _read_json(text: str, said: _SidecarParts) -> Any:
    """Read a ``.json`` file; returns its value, or None if it is not JSON: then the text is kept."""
    try:
        record = parse_json(text)
    except ValueError:
        said.notes.append(BAD_SIDECAR)
        said.kept[".json"] = text[:MAX_KEPT]
        return None
    of_image = _of_image(record)
    if of_image is not None:
        tags, whole = record_tags(of_image)
        said.tags += tags
        if not whole:
            said.notes.append(BAD_SIDECAR)
        by_name = {key.lower(): value for key, value in of_image.items()}
        found = [captions_of(by_name.get(key)) for key in CAPTION_KEYS]
        captions = next((captions for captions, _ in found if captions), [])
        if len(captions) > 1 and not said.captions:
            said.notes.append(SEVERAL_CAPTIONS)
        if not captions and not all(whole for _, whole in found):
            said.notes.append(BAD_SIDECAR)
        said.captions += [] if said.captions else captions
    return record


def _of_image(record: Any) -> dict[str, Any] | None:
    """The part of a JSON value with captions and tags: the value itself; the only object in it, as APIs wrap their
    responses (``{"post": {…}}``, ``[{…}]``); or a string or list of strings as if under ``caption`` or ``tags``; None
    if there is none.
    """
    if isinstance(record, str):
        return {"caption": record}
    if isinstance(record, list) and record and all(isinstance(item, str) for item in record):
        return {"tags" if is_tag_list(", ".join(record)) else "captions": record}
    inner = list(record.values()) if isinstance(record, dict) else record if isinstance(record, list) else []
    is_own = isinstance(record, dict) and any(
        key.lower() in CAPTION_KEYS or key.lower().startswith("tag") for key in record
    )
    if len(inner) == 1 and isinstance(inner[0], dict) and not is_own:
        return inner[0]
    return record if isinstance(record, dict) else None


def lines_of_captions(text: str) -> list[str]:
    """The captions in a text: one, or one per line if each line is a text in itself; empty if there is none.

    That is the case if there are at least ``FEWEST_LINES`` lines without an empty one in between, none is longer than
    ``LONGEST_LINE`` or a list item, and none continues the previous line: after a comma, in mid-sentence, or with a
    word such as ``it`` or ``there``. Two lines are captions if their scripts differ.
    """
    whole = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not whole:
        return []
    lines = [line.strip() for line in whole.split("\n")]
    if len(lines) < 2 or "" in lines or max(map(len, lines)) > LONGEST_LINE:
        return [whole]
    if len({_script(line) for line in lines} - {""}) > 1:
        return list(dict.fromkeys(lines))
    apart = len(lines) >= FEWEST_LINES and not any(_goes_on(a, b) for a, b in pairwise(lines))
    return list(dict.fromkeys(lines)) if apart and not _is_wrapped(lines) else [whole]


def _goes_on(line: str, following: str) -> bool:
    """Whether a line ends, or the next one begins, in the middle of a text."""
    inside = following[0].islower() and line[0].isupper() and line[-1] not in ".!?"
    return line[-1] in ",;:-–—(" or inside or bool(_LINKED.match(following)) or bool(_LINKED.match(line))


def _is_wrapped(lines: Sequence[str]) -> bool:
    """Whether all lines but the last are about as long as the longest, as if wrapped by an editor."""
    longest = max(map(len, lines))
    return longest >= 50 and all(len(line) > 0.75 * longest and line[-1] not in ".!?" for line in lines[:-1])


def _script(text: str) -> str:
    """The script of most letters of a text: LATIN, CYRILLIC, CJK …, as named by Unicode; Japanese counts as CJK."""
    names = [unicodedata.name(c, "").split(" ", 1)[0] for c in text if c.isalpha()]
    names = ["CJK" if n in ("HIRAGANA", "KATAKANA") else n for n in names]
    return max(sorted(set(names)), key=names.count, default="")
