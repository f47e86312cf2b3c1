"""JSON of unknown origin, read so that it can be stored and queried.

Belongs here: parsing that fails in one way only, and values that every JSON reader accepts.
Does not belong here: what the JSON means.
"""

import json
import math
from typing import Any

MAX_DEPTH = 100
"""Deeper nesting than any tool writes; deeper JSON is rejected, before it can exhaust the stack of a later reader."""


def parse_json(text: str) -> Any:
    """Parse JSON; NaN and infinities become null, lone surrogates and NUL characters U+FFFD.

    Raises:
        ValueError: not JSON, or nested deeper than ``MAX_DEPTH``. Nothing else is raised.
    """
    try:
        return _storable(json.loads(text), MAX_DEPTH)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def dump_json(value: Any) -> str:
    """Compact JSON text of what ``parse_json`` returned, in UTF-8 as it is."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def storable_text(text: str) -> str:
    """Text that can be encoded in UTF-8 and contains no NUL."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "\ufffd")


def _storable(value: Any, depth: int) -> Any:
    if depth == 0:
        raise ValueError(f"JSON is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_storable(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {storable_text(key): _storable(item, depth - 1) for key, item in value.items()}
    return value
