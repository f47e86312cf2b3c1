"""The text of Stable Diffusion web UIs: the prompt, ``Negative prompt: …``, and a line of settings.

Belongs here: parsing that text, from an image or a file beside it. Does not belong here: finding it (``formats``,
``sidecars``), other tools (``generation``).

The settings need not start with ``Steps:`` (SD.Next and others write them in another order), and line breaks may be
lost, so that all three parts are on one line.
"""

import re
from dataclasses import dataclass

MAX_SETTINGS = 16_000
"""Longest settings text that is parsed, in characters; usually a few hundred."""

_KEYS = (
    r"Steps|Sampler|Schedule type|Scheduler|CFG scale|Guidance|Seed|Size|Model hash|Model|VAE|Clip skip|Version|Pipeline"
    r"|Parser|Backend|App|Operations|Denoising strength|Batch size|Created Date|Variation seed|RNG"
)
_PAIR = re.compile(rf"(?:^|(?<=[\s,.;]))({_KEYS}): *(?=\S)", re.MULTILINE)
_TELLING = frozenset({"Steps", "Sampler", "Seed", "CFG scale"})
_SETTING = re.compile(r'([A-Za-z][\w \-/.]{0,60}):\s*("(?:[^"\\]|\\.)*"|[^,\n]*)(?:,\s*|\n|$)')
_NEGATIVE = re.compile(r"^Negative prompt:[ \t]*", re.MULTILINE)
_NEGATIVE_INSIDE = re.compile(r"(?<=[\s,.;])Negative prompt:[ \t]*")


@dataclass(frozen=True)
class WebUiText:
    """The parts of the text.

    Attributes:
        prompt: the text before the other parts.
        negative_prompt: None if there is none.
        settings: by name, as text without quotes. Empty if there are none.
    """

    prompt: str
    negative_prompt: str | None
    settings: dict[str, str]

    @property
    def is_certain(self) -> bool:
        """Whether it is certainly such a text and not some other one."""
        return bool(self.settings) or self.negative_prompt is not None


def read_webui(text: str) -> WebUiText:
    """Parse the text; one without settings or a negative prompt is all prompt."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = _settings_start(text)
    head, line = (text[:start], text[start:]) if start is not None else (text, "")
    negative = _NEGATIVE.search(head) or (_NEGATIVE_INSIDE.search(head) if line else None)
    return WebUiText(
        prompt=(head[: negative.start()] if negative else head).strip(),
        negative_prompt=head[negative.end() :].strip() if negative else None,
        settings={key.strip(): value.strip(' "') for key, value in _SETTING.findall(line[:MAX_SETTINGS])},
    )


def _settings_start(text: str) -> int | None:
    """Where the settings start: the first known name from which on a line contains nothing but settings."""
    at = 0
    best = None
    for line in text.split("\n"):
        pairs = list(_PAIR.finditer(line))
        for number, pair in enumerate(pairs):
            names = {p[1] for p in pairs[number:]}
            alone = pair.start() == 0 and pair[1] == "Steps"
            enough = alone or len(names) > (1 if pair.start() == 0 else 2)
            if _TELLING & names and enough and _only_settings(line[pair.start() :]):
                best = at + pair.start()
                break
        at += len(line) + 1
    return best


def _only_settings(text: str) -> bool:
    """Whether the text starts with several settings, or is a single one."""
    first = _SETTING.match(text)
    return first is not None and (first.end() == len(text) or _SETTING.match(text, first.end()) is not None)
