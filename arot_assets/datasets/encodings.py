"""Text in unknown encodings.

Belongs here: decoding caption files, and how certain the result is. Does not belong here: what the text means.

UTF-8 and UTF-16 can be recognized. Eight-bit and East Asian code pages cannot: the same bytes are Russian in one and
Greek in another, Korean in one and rare Chinese characters in another. ``charset-normalizer`` alone accepts whatever
decodes without odd characters: of the 30 captions of ``tests/datasets/test_encodings.py``, which are typically short,
it turns 12 into different text, and reports none as uncertain. Its proposal is therefore accepted only if it finds the
letters of a language and no other reading comes close. For East Asian text, where it needs longer texts than captions
are, the reading with common characters is accepted if it is the only one. In this way 15 of the 30 are right, none
becomes a different text, and 15 are reported as uncertain. A caption that says something else is worse than none.
"""

import codecs
import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

from arot_assets.jsontext import storable_text

if TYPE_CHECKING:
    from charset_normalizer import CharsetMatch

CODE_PAGES = (
    "cp1250",
    "cp1251",
    "cp1252",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "cp874",
    "koi8_r",
    "cp866",
)
"""Eight-bit encodings in which caption files are found."""

COHERENT = 0.4
"""From this fraction on, the frequent letters of a text are those of a language (0 to 1)."""
RIVAL = 0.5
"""Another reading with this fraction of the best one's coherence makes both uncertain."""
COMMON, UNCOMMON = 0.9, 0.75
"""Fraction of common characters from which a reading in an East Asian encoding is accepted, and below which another is
rejected."""
FEWEST = 4
"""This many East Asian characters are needed to decide."""
DAMAGED = 0.05
"""Up to this fraction of broken bytes among all that are not ASCII, a text is damaged UTF-8."""

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_SHIFTED = re.compile(rb"\x1b[$(]|\x0e[^\x0f]*\x0f|~\{[^\x80-\xff]*~\}")
"""Escape sequences that mark ASCII bytes as other characters: ISO-2022 of Japan and Korea, HZ of China."""
_INSIDE = re.compile(r"[^\W\d_]([”“•ˆ†‡‰˜‹›™])[^\W\d_]|[^\W\d_]([–—])(?=[^\W\d_])")
"""Symbols between letters where code pages of DOS and Macintosh have letters."""
_ENGLISH = frozenset("the of and with is".split())
_WESTERN = frozenset("áâäçéëíîóôöúüßÁÂÄÇÉËÍÎÓÔÖÚÜ‘’“”–—…•€™©®°«»·")
"""Characters that Windows-1252 encodes like its Central European, Turkish and Baltic neighbours, or that hardly any
other does."""
_WESTERN_WORDS = frozenset(
    "the of and with is an in de la le les des du une un et en dans sur avec au aux est el los las una con del por sobre que der "
    "die das und ein eine mit im auf den il di che sul della og med på och det em uma com do da dos van het een".split()
)
"""Frequent words of languages that use Windows-1252, none of them a word of the languages of Windows-1250."""
_CENTRAL_WORDS = frozenset("na w z i se je jsou pod nad ve ze s v od az egy és si cu din pe u".split())
_LONE = re.compile(rb"(?<![\x80-\xff])[\x80-\xff]{1,2}(?![\x80-\xff])")
_LETTER_BESIDE = re.compile(rb"[A-Za-z][\x80-\xff]|[\x80-\xff][A-Za-z]")


def read_text(data: bytes) -> tuple[str | None, bool]:
    """Decode bytes in an unknown encoding.

    Returns:
        The text, None if it is binary data or in an encoding that cannot be determined; and whether every letter of it
        is certain.
    """
    text, sure = _decoded(data)
    if text is None or _CONTROL.search(text):
        return None, False
    return storable_text(text), sure


def _decoded(data: bytes) -> tuple[str | None, bool]:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return _strict(data, encoding) or _utf(data, encoding)
    if _SHIFTED.search(data):
        return _shifted(data)
    for encoding in (*_utf16_without_mark(data), "utf-8"):
        if found := _strict(data, encoding):
            return found
    return _damaged_utf8(data) or _western(data) or _east_asian(data) or _national(data)


def _shifted(data: bytes) -> tuple[str | None, bool]:
    """Text in a seven-bit encoding; ASCII that only looks like one is not certain."""
    for encoding in ("iso2022_jp_2", "iso2022_kr", "hz"):
        found = _strict(data, encoding)
        if found is not None and not found[0].isascii() and not _CONTROL.search(found[0]):
            return found
    return (data.decode("ascii"), False) if data.isascii() else (None, False)


def _strict(data: bytes, encoding: str) -> tuple[str, bool] | None:
    try:
        return data.decode(encoding), True
    except UnicodeDecodeError:
        return None


def _utf(data: bytes, encoding: str) -> tuple[str, bool]:
    """Damaged text in a known encoding: its last letter may be cut off, others become U+FFFD."""
    return codecs.getincrementaldecoder(encoding)("replace").decode(data), False


def _utf16_without_mark(data: bytes) -> tuple[str, ...]:
    """UTF-16 with the byte order in which Latin letters have their zero bytes."""
    if len(data) < 4 or len(data) % 2:
        return ()
    high, low = data[0::2].count(0), data[1::2].count(0)
    if max(high, low) * 3 < len(data) // 2 or min(high, low) > 0:
        return ()
    return ("utf-16-le",) if low > high else ("utf-16-be",)


def _damaged_utf8(data: bytes) -> tuple[str, bool] | None:
    """UTF-8 whose last letter is cut off, or with a few broken bytes; None if it is probably something else."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
    broken = text.count("\ufffd")
    letters = sum(len(c.encode()) for c in text if c > "\x7f" and c != "\ufffd")
    tail = len(data) - len(text.replace("\ufffd", "").encode()) if broken == 0 else 0
    if broken == 0 and (letters or tail > 1):
        return text, False
    return (text, False) if broken and letters and broken <= max(1, DAMAGED * letters) and letters > 3 else None


def _western(data: bytes) -> tuple[str, bool] | None:
    """Windows-1252 where that is certain: single characters beside ASCII, from ``_WESTERN``, or any letters among
    Western words."""
    special = re.sub(rb"[\x00-\x7f]", b"", data)
    if len(b"".join(_LONE.findall(data))) < len(special) or 3 * len(special) > len(data):
        return None
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    rest = {c for c in text if c > "\x7f"} - _WESTERN
    words = set(re.findall(r"[^\W\d_]+", text.lower()))
    if _is_odd(text, words):
        return None
    western = bool(words & _WESTERN_WORDS) and not words & _CENTRAL_WORDS
    if not _LETTER_BESIDE.search(data) or (rest and not (western and all(_is_latin1_letter(c) for c in rest))):
        return None
    return text, True


def _is_odd(text: str, words: set[str]) -> bool:
    """Whether words contain symbols or capital letters, as text read in the wrong encoding does."""
    if any(a.islower() and b.isupper() and b > "\x7f" for a, b in pairwise(text)):
        return True
    inside = {sign or dash for sign, dash in _INSIDE.findall(text)}
    return bool(inside - {"–", "—"}) or (bool(inside) and not words & _ENGLISH)


def _is_latin1_letter(char: str) -> bool:
    return "À" <= char <= "ÿ" and char not in "×÷ÐðÝýÞþ"  # different letters in Turkish, and rare elsewhere


def _east_asian(data: bytes) -> tuple[str, bool] | None:
    """The one East Asian encoding in which the text consists of common characters."""
    shares: list[tuple[float, str]] = []
    for encoding, reencode, leads, needs_kana in (
        ("gb18030", "gb2312", (0xB0, 0xD7), False),
        ("big5", "big5", (0xA4, 0xC6), False),
        ("cp949", "euc_kr", (0xB0, 0xC8), False),
        ("cp932", "euc_jp", (0xB0, 0xCF), True),
        ("euc_jp", "euc_jp", (0xB0, 0xCF), True),
    ):
        found = _strict(data, encoding)
        if found is not None:
            shares.append((_common(found[0], reencode, leads, needs_kana), found[0]))
    shares.sort(reverse=True)
    if not shares or shares[0][0] < COMMON or (len(shares) > 1 and shares[1][0] > UNCOMMON):
        return None
    return shares[0][1], True


def _common(text: str, encoding: str, leads: tuple[int, int], needs_kana: bool) -> float:
    """Fraction of the non-ASCII characters that are in the rows of common ones; 0 if there are too few.

    Punctuation, which each of these encodings has in a different place, is not counted. Japanese requires kana.
    """
    letters = [c for c in text if c > "\x7f" and c.isalpha()]
    others = sum(c > "\x7f" and unicodedata.category(c)[0] in "CSLM" and not c.isalpha() for c in text)
    kana = sum("\u3041" <= c <= "\u30ff" for c in letters)
    if len(letters) < FEWEST or (needs_kana and 5 * kana < len(letters)):
        return 0.0
    common = kana if needs_kana else 0
    for char in letters:
        pair = char.encode(encoding, "ignore")
        common += len(pair) == 2 and leads[0] <= pair[0] <= leads[1]
    return common / (len(letters) + others)


def _national(data: bytes) -> tuple[str | None, bool]:
    """An eight-bit code page, if ``charset-normalizer`` is certain."""
    from charset_normalizer import from_bytes

    found: list[CharsetMatch] = list(from_bytes(data, cp_isolation=list(CODE_PAGES), enable_fallback=False))
    found.sort(key=lambda match: (-match.coherence, match.chaos))
    if not found or found[0].coherence < COHERENT or _is_odd(str(found[0]), set()):
        return None, False
    best = str(found[0])
    rivals = [match for match in found[1:] if str(match) != best and match.coherence >= RIVAL * found[0].coherence]
    return (None, False) if rivals else (best, True)
