"""The language that a text is written in, by the words and letters alone.

Belongs here: asking ``py3langid`` (BSD-3-Clause, 97 languages, 4.6 MB, no network), an extra: ``pip install 'arot[language]'``.
Does not belong here: which languages are wanted, which is a predicate in SQL.
"""

from functools import cache
from importlib import metadata
from typing import Any

PACKAGE = "py3langid"


def release() -> str:
    """The package's version, which the answers depend on; empty where it is not installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return ""


def language_of(text: str) -> tuple[str | None, float | None]:
    """The most probable language of a text, as ISO 639-1, and its probability, 0 to 1; neither of a text without letters.

    A handful of words, or a list of tags, has no language that could be told: its probability is low.
    """
    if not any(c.isalpha() for c in text) or not release():
        return None, None
    language, probability = _identifier().classify(text)
    return str(language), min(1.0, max(0.0, float(probability)))


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
