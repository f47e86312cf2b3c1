r"""Lists of booru-style tags, and how to distinguish them from captions.

Belongs here: whether a plain text is a list of tags, and splitting it. Does not belong here: which file or column the
text came from (``sidecars``, ``records``).
"""

import re

MAX_TAG_WORDS = 6
MAX_TAG_LENGTH = 64
MIN_SPACED_SHARE = 0.3
"""Fraction of words with a mark from which on a text without commas is a space-separated list of tags."""

_EMOTICON = r"[:;=xX>^@|+0oO][-_.<3]?[<>()dDpPoO3|^@+0x/]{1,2}|\^_\^|>_<|\\\(\^o\^\)/|\\o/"
_MARK = re.compile(
    rf"\w_\w|_\(|^\d\+?(girl|boy|other)s?$|^(solo|no humans)$|^(rating|score|source):\w|^({_EMOTICON})$", re.IGNORECASE
)
_SENTENCE_WORDS = frozenset(
    "a an the is are was were has have she he they it its her his their this that there which who while and with in at as "
    "from behind under into".split()
)
"""English words of sentences; an image board's tag contains at most one or two of them (``hand_on_own_hip``)."""
_OTHER_MARK = re.compile(r"[\w)][;|]\s*\w|\w \| \w")
"""Separators of tags in a list without commas; an emoticon (``;d``) has no letter directly before it."""
_SENTENCE_END = re.compile(r"\w[.!?]+[\"'”’)]*$")


def is_tag_list(text: str) -> bool:
    r"""Whether a text is a list of booru-style tags rather than a caption. Both must hold:

    1. some part has a mark that prose does not have: an underscore inside a word (``long_hair``), a head count
       (``1girl``, ``2boys``), ``solo`` or ``no humans``, an emoticon;
    2. no part reads like prose: a tag of one word may have any length and end in any character (``love_live!``); so may
       one of several words, unless it has more than ``MAX_TAG_WORDS`` words or ``MAX_TAG_LENGTH`` characters, or a
       sentence's end together with a sentence's words or capital letter. Titles that ask or call out in lower case
       are tags (``is the order a rabbit?``).

    Parts are separated by commas and line ends. A text without any is a list if its words are (``is_spaced_list``).
    """
    parts = split_tags(text)
    if len(parts) == 1:
        return is_spaced_list(parts[0])
    return any(_MARK.search(part) for part in parts) and not any(_is_prose(part) for part in parts)


def is_spaced_list(text: str) -> bool:
    """Whether a text without commas is a space-separated list of tags: many words have a mark, and none is typical of
    sentences."""
    words = text.split()
    if len(words) == 1:
        return "_" in words[0] and bool(_MARK.search(words[0]))
    marked = sum(bool(_MARK.search(word)) for word in words)
    plain = {word.lower().strip(".,!?") for word in words}
    return marked >= max(1, MIN_SPACED_SHARE * len(words)) and len(words) > 1 and not plain & _SENTENCE_WORDS


def split_tags(text: str) -> list[str]:
    r"""Tags separated by commas and line ends, otherwise by semicolons or bars, otherwise, if it is such a list, by
    spaces; trimmed, in order.

    The escapes ``\(`` and ``\)`` of prompts are undone where they occur in pairs: ``saber_\(fate\)``, but not
    ``\(^o^)/``.
    """
    parts = [part.strip() for part in re.split(r"[,\r\n，、]", text)]
    if len(parts) == 1 and _OTHER_MARK.search(text):
        parts = [part.strip() for part in re.split(r"[;|]", text)]
    parts = [part for part in parts if part]
    if len(parts) == 1 and is_spaced_list(parts[0]):
        parts = parts[0].split()
    return [_unescaped(part) for part in parts]


def _unescaped(tag: str) -> str:
    if tag.count(r"\(") != tag.count(r"\)"):
        return tag
    return tag.replace(r"\(", "(").replace(r"\)", ")")


def _is_prose(part: str) -> bool:
    words = part.split()
    if len(words) < 2:
        return False
    ends = len(words) > 2 and bool(_SENTENCE_END.search(part)) and (part[0].isupper() or "." in part[-3:])
    if not ends and len(words) <= MAX_TAG_WORDS and len(part) <= MAX_TAG_LENGTH:
        return False
    plain = {word.lower().strip(".,!?") for word in words}
    return part[0].isupper() or len(words) > 2 * MAX_TAG_WORDS or len(plain & _SENTENCE_WORDS) > 0
