"""Where a caption says what the tags of the same sample exclude: each finding with both words, so that a person can judge it.

Belongs here: the rules. Does not belong here: which of both is right, and what is done about it.

The rules are few, and only for what tags say completely. Boards tag everyone who is seen, so that ``1girl`` without a tag of
boys excludes a man; ``solo`` excludes a second person; one tag of a hair or eye colour excludes the others. A caption counts for
what it says in English and without a negation shortly before. What tags leave open, as most things, contradicts nothing. A
finding may be a figure of speech (“a man-made lake”, a poster of a man): it is a reason to look, not a verdict.
"""

import re
from collections.abc import Iterator, Sequence

COLOURS = {
    "blonde": ("blonde", "blond", "golden", "yellow"),
    "brown": ("brown", "brunette", "chestnut", "auburn"),
    "black": ("black",),
    "gray": ("gray", "grey", "silver", "white", "platinum"),
    "red": ("red", "auburn", "ginger", "orange"),
    "blue": ("blue", "aqua", "cyan", "teal"),
    "green": ("green", "emerald", "teal"),
    "pink": ("pink",),
    "purple": ("purple", "violet", "lavender"),
}
"""Colour -> words of captions that may mean it. Colours that share a word do not exclude each other by it."""
TAGGED = {word: colour for colour, words in reversed(COLOURS.items()) for word in words}
MIXED = re.compile(
    r"multicolored|two-tone|gradient|streaked|colored inner|heterochromia|multiple (?:girls|boys)|[2-9]\+?(?:girl|boy)s"
)
"""Tags after which one colour says nothing of the others."""

MEN = r"(?:man|men|boys?|gentlem[ae]n|guys?|male)"
WOMEN = r"(?:wom[ae]n|girls?|lad(?:y|ies)|female)"
PEOPLE = rf"(?:{MEN}|{WOMEN}|person|people|child(?:ren)?|crowd)"
SEVERAL = (
    rf"(?:(?:two|three|four|five|several|many|multiple)(?: \w+)? (?:{PEOPLE})|couple|crowd|group of (?:\w+ )?{PEOPLE})"
)
BOY_TAG = re.compile(
    r"\d\+?boys?|multiple boys|male focus|otoko no ko|trap|androgynous|genderswap.*|ambiguous gender|\d\+?others?"
)
GIRL_TAG = re.compile(
    r"\d\+?girls?|multiple girls|female focus|otoko no ko|trap|androgynous|genderswap.*|ambiguous gender|\d\+?others?"
)
_NEGATED = re.compile(r"\b(?:no|not|without|never|isn't|aren't|nor)\b[^.,;!?]{0,24}\Z", re.IGNORECASE)


def contradictions(text: str, tags: Sequence[str]) -> list[str]:
    """What a text says that the tags exclude, each as ``tag: “words of the text”``; empty if nothing.

    Args:
        text: a caption in English.
        tags: of the same sample, in the form of boards (``long_hair`` or ``long hair``).
    """
    clean = {" ".join(tag.lower().replace("_", " ").split()) for tag in tags}
    found = [*_of_people(text, clean), *_of_colours(text, clean), *_of_places(text, clean)]
    return list(dict.fromkeys(found))


def _of_people(text: str, tags: set[str]) -> Iterator[str]:
    girls = sorted(t for t in tags if re.fullmatch(r"\d\+?girls?|multiple girls", t))
    boys = sorted(t for t in tags if re.fullmatch(r"\d\+?boys?|multiple boys", t))
    if girls and not any(BOY_TAG.fullmatch(tag) for tag in tags):
        yield from _said(text, MEN, f"{girls[0]}, no boy")
    if boys and not any(GIRL_TAG.fullmatch(tag) for tag in tags):
        yield from _said(text, WOMEN, f"{boys[0]}, no girl")
    if "no humans" in tags:
        yield from _said(text, PEOPLE, "no humans")
    if "solo" in tags:
        yield from _said(text, SEVERAL, "solo")


def _of_colours(text: str, tags: set[str]) -> Iterator[str]:
    if any(MIXED.search(tag) for tag in tags):
        return
    for part, said in (
        ("hair", r"hair(?:ed)?(?! (?:ribbon|bow|band|clip|pin|tie|ornament|accessor|net))"),
        ("eyes", r"eye[sd]?(?! (?:shadow|patch|liner))"),
    ):
        tagged = {
            t: TAGGED[w]
            for t in tags
            if (w := t.removesuffix(f" {part}").split()[-1]) in TAGGED and t.endswith(f" {part}")
        }
        if len(set(tagged.values())) != 1:
            continue
        tag, colour = next(iter(tagged.items()))
        for others in COLOURS.values():
            for word in others:
                if word not in COLOURS[colour] and word != "golden":
                    yield from _said(text, rf"{word}[- ](?:\w+[- ]){{0,2}}?{said}", tag)


def _of_places(text: str, tags: set[str]) -> Iterator[str]:
    for tag, other, words in (
        ("indoors", "outdoors", r"outdoors|outside"),
        ("outdoors", "indoors", r"indoors"),
        ("night", "day", r"(?:daylight|midday|noon)"),
        ("day", "night", r"(?:at night|night sky|moonlit)"),
        ("monochrome", "spot color", r"(?:colou?rful|vibrant colou?rs)"),
    ):
        if tag in tags and other not in tags:
            yield from _said(text, words, tag)


def _said(text: str, words: str, tag: str) -> Iterator[str]:
    """The places at which a text says some words and does not negate them."""
    for match in re.finditer(rf"\b(?:{words})\b", text, re.IGNORECASE):
        if not _NEGATED.search(text[: match.start()]):
            yield f"{tag}: “{match[0]}”"
