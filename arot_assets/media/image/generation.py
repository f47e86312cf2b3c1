"""What image generators write into their files: the prompt and the settings, from whichever tool, in one form.

Belongs here: Stable Diffusion web UI ``parameters`` text, NovelAI comments, and the choice between tools; ComfyUI's graphs
are read in ``comfyui``. Does not belong here: finding the text in a file (``formats``).

The form: ``tool`` (sd_webui | comfyui | novelai), ``prompt``, ``negative_prompt``, ``seed``, ``steps``, ``sampler``,
``cfg_scale``, ``model``, and ``raw``: what was found, whole. Keys that the file does not answer are absent; ``tool`` and
``raw`` never are.
"""

import re
from collections.abc import Mapping
from typing import Any

from arot_assets.jsontext import parse_json, storable_text
from arot_assets.media.image.comfyui import read_graph

MAX_SETTINGS = 16_000
"""Longest line of web UI settings that is parsed, in characters; they are a few hundred long."""

_SETTING = re.compile(r'([A-Za-z][\w \-/.]{0,60}):\s*("(?:[^"\\]|\\.)*"|[^,]*)(?:,\s*|$)')
_STEPS = re.compile(r"^Steps: \d", re.MULTILINE)
_NEGATIVE = re.compile(r"^Negative prompt:[ \t]*", re.MULTILINE)
_IN_EXIF = re.compile(r"\s*(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)


def generation(texts: Mapping[str, str]) -> dict[str, Any] | None:
    """Read the texts of a file by keyword.

    Args:
        texts: PNG text chunks by keyword, and EXIF texts by tag name (UserComment, Make, Model ...).

    Returns:
        The form of this module, JSON-able; None if no generator has left a trace.
    """
    graphs = _comfyui_graphs(texts)
    if graphs:
        found, raw = read_graph(graphs.get("prompt")), graphs
        tool = "comfyui"
    elif texts.get("Software") == "NovelAI":
        found, raw = _novelai(texts)
        tool = "novelai"
    else:
        parameters = _webui_parameters(texts)
        if parameters is None:
            return None
        found, raw = _webui(parameters), {"parameters": storable_text(parameters)}
        tool = "sd_webui"
    return {"tool": tool, **{key: value for key, value in found.items() if value not in (None, "")}, "raw": raw}


def _comfyui_graphs(texts: Mapping[str, str]) -> dict[str, Any]:
    """ComfyUI's ``prompt`` and ``workflow``: PNG chunks of these names, or EXIF texts that begin with them."""
    candidates = {name: texts[name] for name in ("prompt", "workflow") if name in texts}
    for tag in ("Make", "Model", "ImageDescription", "UserComment"):
        if match := _IN_EXIF.match(texts.get(tag, "")):
            candidates.setdefault(match[1].lower(), texts[tag][match.end() :])
    graphs = {}
    for name, text in candidates.items():
        try:
            graph = parse_json(text)
        except ValueError:  # another tool's plain-text prompt, or a damaged graph: nothing of ComfyUI's to read
            continue
        if isinstance(graph, dict):
            graphs[name] = graph
    return graphs


def _webui_parameters(texts: Mapping[str, str]) -> str | None:
    """The web UI's text: a PNG chunk, or an EXIF comment that has its line of settings."""
    if text := texts.get("parameters"):
        return text if not text.lstrip().startswith("{") else None  # other tools keep JSON under this name
    comment = texts.get("UserComment", "")
    return comment if _STEPS.search(comment) else None


def _webui(text: str) -> dict[str, Any]:
    """Prompt lines, ``Negative prompt:`` lines, then one line ``Steps: 20, Sampler: Euler a, ...``."""
    text = storable_text(text.replace("\r\n", "\n"))
    starts = [match.start() for match in _STEPS.finditer(text)]
    head, line = (text[: starts[-1]], text[starts[-1] :]) if starts else (text, "")
    negative = _NEGATIVE.search(head)
    settings = {key.strip(): value.strip(' "') for key, value in _SETTING.findall(line[:MAX_SETTINGS])}
    return {
        "prompt": (head[: negative.start()] if negative else head).strip(),
        "negative_prompt": head[negative.end() :].strip() if negative else None,
        "seed": whole_number(settings.get("Seed")),
        "steps": whole_number(settings.get("Steps")),
        "sampler": settings.get("Sampler"),
        "cfg_scale": number(settings.get("CFG scale")),
        "model": settings.get("Model") or settings.get("Model hash"),
    }


def _novelai(texts: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``Description`` is the prompt, ``Comment`` a JSON object of settings, ``Source`` the model."""
    raw: dict[str, Any] = {
        name: storable_text(texts[name])
        for name in ("Software", "Title", "Description", "Source", "Comment")
        if name in texts
    }
    settings: dict[str, Any] = {}
    try:
        comment = parse_json(texts.get("Comment", ""))
        if isinstance(comment, dict):
            settings = raw["Comment"] = comment
    except ValueError:  # the text itself stays in raw
        settings = {}
    prompt, negative, sampler = (settings.get(key) for key in ("prompt", "uc", "sampler"))
    found = {
        "prompt": raw.get("Description") or (prompt if isinstance(prompt, str) else None),
        "negative_prompt": negative if isinstance(negative, str) else None,
        "seed": whole_number(settings.get("seed")),
        "steps": whole_number(settings.get("steps")),
        "sampler": sampler if isinstance(sampler, str) else None,
        "cfg_scale": number(settings.get("scale")),
        "model": raw.get("Source"),
    }
    return found, raw


def whole_number(value: Any) -> int | None:
    """A setting as int, None if it is none."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,40}", value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """A setting as float, None if it is none."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}(\.\d{0,20})?", value.strip()):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e20:
        return None
    return float(value)
