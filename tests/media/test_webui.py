"""The text of web UIs, taken apart."""

import pytest

from arot_assets.media.webui import read_webui

SETTINGS = {"Steps": "20", "Sampler": "euler", "CFG scale": "5.5", "Seed": "7", "Model": "m"}


def line(order: str) -> str:
    return ", ".join(f"{name}: {SETTINGS[name]}" for name in order.split("|"))


ORDERS = [
    "Steps|Sampler|CFG scale|Seed|Model",
    "Sampler|Steps|Seed|CFG scale|Model",
    "Seed|Model|CFG scale|Sampler|Steps",
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " "])
def test_settings_in_any_order_with_any_line_ends(order: str, end: str) -> None:
    parts = read_webui(f"a fox, (snow:1.2){end}Negative prompt: blurry, bad{end}{line(order)}")
    assert (parts.prompt, parts.negative_prompt, parts.settings) == ("a fox, (snow:1.2)", "blurry, bad", SETTINGS)
    assert parts.is_certain


@pytest.mark.parametrize("order", ORDERS)
def test_no_negative_prompt(order: str) -> None:
    parts = read_webui(f"a fox\nsecond line\n{line(order)}")
    assert (parts.prompt, parts.negative_prompt, parts.settings) == ("a fox\nsecond line", None, SETTINGS)


def test_prompt_of_several_lines_and_quoted_settings() -> None:
    parts = read_webui(f'a\nb\nNegative prompt: c,\nd\n{line(ORDERS[0])}, Lora hashes: "x: 1, Seed: 9", Version: v1')
    assert (parts.prompt, parts.negative_prompt) == ("a\nb", "c,\nd")
    assert parts.settings == {**SETTINGS, "Lora hashes": "x: 1, Seed: 9", "Version": "v1"}


@pytest.mark.parametrize(
    "text", ["holiday in Rome", "Model: a girl by the sea", "recipe. Steps: mix, bake", "", "Size: big"]
)
def test_other_texts_are_not_certain(text: str) -> None:
    parts = read_webui(text)
    assert (parts.is_certain, parts.prompt, parts.settings) == (False, text, {})
