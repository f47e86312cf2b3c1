"""One thing that a rater said, as a source tells it: before it is an event, and before its samples are known.

Belongs here: the form that every reader in ``sources/`` gives, and the reading of single values. Does not belong here: files
(``sources/``), keeping (``events.py``).
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from resources.errors import ArotError


class RatingsError(ArotError):
    """Ratings that cannot be read or used; the message names the thing, the cause and the remedy."""


@dataclass(frozen=True)
class Statement:
    """What a rater said once.

    Attributes:
        key: identifies it within its source: what is said later under the same key corrects it.
        kind: ``score``, ``category``, ``labels``, ``pair``, ``ranking`` or ``skip``.
        items: what it is about, as the source names it; several for pairs and rankings.
        rater: who; empty if the source doesn't tell.
        score: on the source's scale; None for other kinds.
        labels: the class, or the labels.
        ranks: of each item, 1 is the best, equal ranks are ties; empty for other kinds.
        rated_at: when, UTC; None if the source doesn't tell, or not in which time zone.
        seconds: how long it took.
        session: the sitting in which it was said.
        fault: why it cannot be used; it is kept all the same.
        note: what was not understood, although the rating can be used.
    """

    key: str
    kind: str
    items: tuple[str, ...]
    rater: str = ""
    score: float | None = None
    labels: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()
    rated_at: datetime | None = None
    seconds: float | None = None
    session: str = ""
    fault: str = ""
    note: str = ""


def text_of(value: Any) -> str:
    """A value as text; empty for none and NaN, without ``.0`` for whole numbers."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def number_of(value: Any) -> float | None:
    """A value as a finite number; None if it isn't one. A decimal comma counts."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value) if isinstance(value, int | float) else float(text_of(value).replace(",", "."))
    except (ValueError, OverflowError):  # an integer of 400 digits
        return None
    return number if math.isfinite(number) else None


def labels_of(value: Any, separator: str) -> tuple[str, ...]:
    """Labels in a list or in one text, each once, sorted."""
    given = value if isinstance(value, list | tuple) else text_of(value).split(separator)
    return tuple(sorted({text for part in given if (text := text_of(part))}))


def time_of(value: Any, zone: str) -> tuple[datetime | None, str]:
    """A time in UTC, and what is wrong with it.

    Args:
        value: a datetime, ISO 8601, or seconds since 1970.
        zone: of times that name none.
    """
    text = text_of(value)
    if not text:
        return None, ""
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime(value.year, value.month, value.day)
    elif (seconds := number_of(value)) is not None and re.fullmatch(r"[\d.]+", text) and seconds > 1e8:
        try:
            found = datetime.fromtimestamp(seconds / (1000 if seconds > 1e11 else 1), UTC)
        except (ValueError, OverflowError, OSError):
            return None, f"the time {text!r} is no number of seconds since 1970"
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            return None, f"the time {text!r} is not ISO 8601"
    if found.tzinfo is None:
        if not zone:
            return None, f"the time {text!r} names no zone; set `timezone` of the source"
        found = found.replace(tzinfo=ZoneInfo(zone))
    try:
        return found.astimezone(UTC), ""
    except OverflowError:  # the last hours of the year 9999
        return None, f"the time {text!r} is outside the calendar"


Value = tuple[float | None, tuple[str, ...], str]
"""A score, labels, and the fault if neither could be read."""


def value_of(kind: str, value: Any, separator: str) -> Value:
    """What a value says as a score, a class or labels."""
    if kind == "score":
        number = number_of(value)
        return number, (), "" if number is not None else f"{shown(value)} is no number"
    if kind == "category":
        text = text_of(value)
        return None, (text,) if text else (), "" if text else "there is no class"
    labels = labels_of(value, separator)
    return None, labels, ""  # no label at all is an answer too


def winner_of(value: Any, left: str, right: str) -> tuple[tuple[int, ...], str]:
    """The ranks of a pair, and the fault if the winner is neither of the two."""
    text = text_of(value)
    sides: Mapping[str, tuple[int, int]] = {
        "left": (1, 2), "a": (1, 2), "right": (2, 1), "b": (2, 1), "tie": (1, 1), "equal": (1, 1), "draw": (1, 1),
    }  # fmt: skip
    if text and text == left != right:
        return (1, 2), ""
    if text and text == right != left:
        return (2, 1), ""
    found = sides.get(text.lower())
    return (found, "") if found else ((), f"the winner {shown(value)} is neither left, right, tie, nor one of the two")


def shown(value: Any) -> str:
    """A value in an error message."""
    text = text_of(value)
    return repr(text if len(text) <= 60 else f"{text[:60]}…") if text else "an empty value"


def counted(keys: Iterable[str]) -> Callable[[str], str]:
    """Number the repeats of keys, in the order in which they are asked for: ``a``, ``a#2`` …

    Args:
        keys: those that are taken.
    """
    seen: dict[str, int] = dict.fromkeys(keys, 1)

    def key(text: str) -> str:
        seen[text] = seen.get(text, 0) + 1
        return text if seen[text] == 1 else f"{text}#{seen[text]}"

    return key
