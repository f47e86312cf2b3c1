"""The quality of texts: what captioners do wrong is seen in the text alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.captions.quality import COLUMNS, text_quality

GOOD = "A gray cat sleeps on a red sofa beside a window, late afternoon light on its fur."


def quality(text: str) -> dict[str, Any]:
    return {name: values[0] for name, values in text_quality([text]).items()}


def test_good_caption_has_no_fault() -> None:
    found = quality(GOOD)
    assert (found["words"], found["refusal"], found["framing"], found["open_end"]) == (17, False, False, False)
    assert found["repetition"] == 0 and found["hedges"] == 0 and not found["markdown"] and found["latin"] == 1
    assert found["characters"] == len(GOOD)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("refusal", "I'm sorry, but I can't assist with that."),
        ("refusal", "As an AI language model, I cannot describe people."),
        ("refusal", "I’m unable to identify the person in this picture."),
        ("framing", "The image shows a cat."),
        ("framing", "In this photo, a cat sleeps."),
        ("framing", "Here is a caption: a cat."),
        ("framing", "Overall, the mood is calm."),
        ("open_end", "A cat that sleeps on the"),
        ("markdown", "**Cat**\n- gray\n- asleep"),
    ],
)
def test_known_faults_are_found(column: str, text: str) -> None:
    assert quality(text)[column] is True
    assert quality(GOOD)[column] is False


def test_repetition_grows_with_what_is_said_again() -> None:
    stuck = "a cat on a sofa, " * 20
    assert quality(stuck)["repetition"] > 0.9 and quality(stuck)["compression"] > 4
    assert quality("Possibly a cat, perhaps asleep; it appears to dream.")["hedges"] == 3
    assert quality("猫が寝ている。")["latin"] == 0 and quality("12 34")["latin"] is None


@given(st.text(max_size=300))
def test_any_text_has_every_column_within_its_range(text: str) -> None:
    found = quality(text)
    for column in COLUMNS:
        value = found[column.name]
        assert value is not None or column.name == "latin"
        if value is not None and column.low is not None:
            assert column.low <= value <= (float("inf") if column.high is None else column.high)
