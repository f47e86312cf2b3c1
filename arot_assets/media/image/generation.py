"""Prompts and settings that image generators write into their files, from any tool, in one format.

Belongs here: choosing between tools. Does not belong here: what each tool writes (``comfyui``, ``webui``, ``tools``),
finding the text in a file (``formats``, ``stealth``).

The format: ``tool`` (sd_webui | comfyui | novelai | swarmui | invokeai | fooocus | easy_diffusion | draw_things |
other), ``prompt``, ``negative_prompt``, ``seed``, ``steps``, ``sampler``, ``cfg_scale``, ``model``, and ``raw``: all
texts of the file by name, with JSON objects parsed. Unknown keys are absent, except that ``tool`` and ``raw`` are always present.

Why not sd-parsers (0.6): of 42 files of these tools (``tests/data/generation`` and three with hidden text) it reads 11 right,
this folder 42. It needs ComfyUI's drawing, which many files lack, and knows neither Fooocus, Easy Diffusion, WebP of NovelAI,
hidden text, nor most encodings of EXIF comments; no file was read better by it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from arot_assets.jsontext import storable_text
from arot_assets.media.image.comfyui import is_graph, read_graph
from arot_assets.media.image.tools import Values, number, object_in, read_novelai, read_tool, read_unnamed, whole_number
from arot_assets.media.webui import read_webui

MAX_RAW = 16 * 1024 * 1024
"""Total length of the texts that are kept, in characters; the largest graphs have some 100,000."""

_IN_EXIF = re.compile(r"\s*(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)
_COMMENTS = ("UserComment", "comment", "Comment", "Description", "ImageDescription", "stealth")
"""Keywords besides ``parameters`` that may contain a web UI's text; they may contain other texts too."""


def generation(texts: Mapping[str, str]) -> dict[str, Any] | None:
    """Interpret the texts of a file by keyword.

    Several tools may have left traces (a ComfyUI graph beside a web UI's text): the first in this module's order is
    named, and values that it lacks are taken from the next.

    Args:
        texts: text chunks by keyword, and EXIF texts by tag name (UserComment, Make, Model ...).

    Returns:
        The format of this module, JSON-compatible; None if no generator has left a trace.
    """
    raw = _raw(texts)
    readings = list(_readings(raw))
    if not readings:
        return None
    found: dict[str, Any] = {"tool": readings[0][0]}
    for _, values in readings:
        found |= {key: value for key, value in values.items() if value not in (None, "") and key not in found}
    return {**found, "raw": raw}


def _raw(texts: Mapping[str, str]) -> dict[str, Any]:
    """Texts by name, with JSON objects parsed. ComfyUI writes its objects into EXIF as ``prompt:{...}`` under any
    tag."""
    raw: dict[str, Any] = {}
    size = 0
    for name, text in texts.items():
        size += len(text)
        if size > MAX_RAW:
            continue
        if (match := _IN_EXIF.match(text)) and (found := object_in(text[match.end() :])) is not None:
            raw.setdefault(match[1].lower(), found)
        else:
            found = object_in(text)
            raw[storable_text(name)] = storable_text(text) if found is None else found
    return raw


def _readings(raw: Mapping[str, Any]) -> Iterator[tuple[str, Values]]:
    """Tools that left a trace, the most informative first."""
    novelai = read_novelai(raw)
    if novelai is not None:
        yield "novelai", novelai
    if (graph := _comfyui(raw)) is not None:
        yield "comfyui", read_graph(graph)
    if (named := read_tool(raw)) is not None:
        yield named
    if (text := _webui_text(raw)) is not None:
        yield "sd_webui", _webui(text)
    if novelai is None and named is None and (values := read_unnamed(raw)) is not None:
        yield "other", values


def _comfyui(raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """The graph, empty if there is only ComfyUI's workflow or a damaged graph; None for files of other tools."""
    objects = [value for value in raw.values() if isinstance(value, dict)]
    for candidate in (*objects, *(part for value in objects for part in value.values())):
        if is_graph(candidate):
            graph: dict[str, Any] = candidate
            return graph
    for name in ("prompt", "workflow"):
        value = raw.get(name)
        if isinstance(value, dict) or (isinstance(value, str) and value.lstrip().startswith("{")):
            return value if isinstance(value, dict) and name == "prompt" else {}
    return None


def _webui_text(raw: Mapping[str, Any]) -> str | None:
    """The web UI's text: ``parameters``, or a comment that contains its settings."""
    text = raw.get("parameters")
    if isinstance(text, str):
        return text
    comments = (raw.get(name) for name in _COMMENTS)
    return next((text for text in comments if isinstance(text, str) and read_webui(text).is_certain), None)


def _webui(text: str) -> Values:
    parts = read_webui(text)
    return {
        "prompt": parts.prompt,
        "negative_prompt": parts.negative_prompt,
        "seed": whole_number(parts.settings.get("Seed")),
        "steps": whole_number(parts.settings.get("Steps")),
        "sampler": parts.settings.get("Sampler"),
        "cfg_scale": number(parts.settings.get("CFG scale")),
        "model": parts.settings.get("Model") or parts.settings.get("Model hash"),
    }
