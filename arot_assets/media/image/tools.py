"""Tools that write names and values: NovelAI, SwarmUI, InvokeAI, Fooocus, Easy Diffusion, Draw Things, and unknown ones.

Belongs here: how each is recognized, and one table of the names that they use. Does not belong here: ComfyUI's graphs
(``comfyui``), the text of web UIs (``webui``), choosing between tools (``generation``).
"""

import re
import shlex
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from arot_assets.jsontext import parse_json

Values = dict[str, Any]
"""A tool's values: ``prompt``, ``negative_prompt``, ``seed``, ``steps``, ``sampler``, ``cfg_scale``, ``model``."""
Texts = Mapping[str, Any]
"""Texts of a file by keyword; JSON objects are parsed."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt", "positiveprompt", "positive", "inputprompt"),
    "negative_prompt": ("negativeprompt", "negative", "uc", "undesiredcontent"),
    "seed": ("seed", "noiseseed"),
    "steps": ("steps", "numinferencesteps", "numsteps", "ddimsteps", "samplingsteps"),
    "sampler": ("sampler", "samplername", "samplingmethod", "scheduler"),
    "cfg_scale": ("cfgscale", "guidancescale", "cfg", "guidance", "scale"),
    "model": (
        *("model", "basemodel", "modelname", "usestablediffusionmodel", "stablediffusionmodel", "modelweights"),
        *("checkpoint", "ckptname", "sdmodelname", "sdmodel", "source", "modelhash"),
    ),
}
"""Names of each value without case, spaces and underscores; the first one present is used."""

_DREAM = {"-s": "steps", "-S": "seed", "-C": "cfg_scale", "-A": "sampler"}


def read_tool(texts: Texts) -> tuple[str, Values] | None:
    """The tool that identifies itself, and its values."""
    objects = [value for value in texts.values() if isinstance(value, dict)]
    for value in objects:
        if isinstance(value.get("sui_image_params"), dict):
            return "swarmui", values_of(value["sui_image_params"])
    for name in ("invokeai_metadata", "sd-metadata"):
        if isinstance(found := texts.get(name), dict):
            return "invokeai", _invokeai(found)
    if isinstance(dream := texts.get("Dream"), str):
        return "invokeai", _dream(dream)
    versions = [
        str(found)
        for source in (texts, *objects)
        for name in ("version", "Version", "Software")
        if (found := source.get(name))
    ]
    if "fooocus_scheme" in texts or any(version.startswith("Fooocus") for version in versions):
        return "fooocus", _first_prompted(objects)
    for source in (texts, *objects):
        if {"use_stable_diffusion_model", "Stable Diffusion model"} & set(source):
            return "easy_diffusion", values_of(source)
    return _draw_things(texts)


def _draw_things(texts: Texts) -> tuple[str, Values] | None:
    """Draw Things names itself in XMP, and writes JSON with the prompt under ``c`` as its comment."""
    if not str(texts.get("CreatorTool", "")).startswith("Draw Things"):
        return None
    comment = texts.get("UserComment")
    return "draw_things", values_of({**comment, "prompt": comment.get("c")}) if isinstance(comment, dict) else {}


def read_novelai(texts: Texts) -> Values | None:
    """NovelAI's values: texts of the file, or the same as one JSON object, with the settings as JSON inside; None if it
    is another tool's file."""
    for source in (texts, *(value for value in texts.values() if isinstance(value, dict))):
        signs = [source.get(name) for name in ("Software", "Artist", "Title", "DocumentName", "Source")]
        if any(isinstance(sign, str) and sign.startswith("NovelAI") for sign in signs):
            break
    else:
        return None
    settings = next((found for name in ("Comment", "UserComment") if isinstance(found := source.get(name), dict)), {})
    written = values_of(settings)
    for key, name in (("prompt", "v4_prompt"), ("negative_prompt", "v4_negative_prompt")):
        caption = settings.get(name, {}).get("caption") if isinstance(settings.get(name), dict) else None
        if key not in written and isinstance(caption, dict) and isinstance(caption.get("base_caption"), str):
            written[key] = caption["base_caption"]
    described = next((text for name in ("Description", "ImageDescription") if _is_text(text := source.get(name))), None)
    models = (source.get("Source"), source.get("Software"))
    model = next((text for text in models if _is_text(text) and text != "NovelAI"), None)
    return {**written, **({"prompt": described} if described else {}), **({"model": model} if model else {})}


def read_unnamed(texts: Texts) -> Values | None:
    """Values of a tool that does not identify itself: a prompt with at least one setting, as texts or in a JSON
    object."""
    for source in (*(value for value in texts.values() if isinstance(value, dict)), texts):
        values = values_of(source)
        if "prompt" in values and set(values) - {"prompt", "model"}:
            return values
    return {} if isinstance(texts.get("parameters"), dict) else None


def values_of(source: Texts) -> Values:
    """The known values among names and values; values of the wrong type are ignored."""
    plain: dict[str, Any] = {}
    for name, value in source.items():
        plain.setdefault(_plain(name), value)
    kinds = {"seed": whole_number, "steps": whole_number, "cfg_scale": number, "model": _name}
    found = {
        key: next((answer for name in names if (answer := kinds.get(key, _words)(plain.get(name))) is not None), None)
        for key, names in _NAMES.items()
    }
    return {key: value for key, value in found.items() if value is not None}


def _first_prompted(objects: list[dict[str, Any]]) -> Values:
    return next((values for value in objects if "prompt" in (values := values_of(value))), {})


def _invokeai(found: dict[str, Any]) -> Values:
    """The settings are in the object itself, in old versions in its ``image``; the prompt used to be a list of weighted
    ones."""
    image = found.get("image")
    values = values_of(image if isinstance(image, dict) else found)
    weights = found.get("model_weights")
    if isinstance(image, dict):
        prompts = image.get("prompt")
        if isinstance(prompts, list):
            words = [p.get("prompt") for p in prompts if isinstance(p, dict)]
            values["prompt"] = ", ".join(word for word in words if isinstance(word, str))
        if isinstance(weights, str):
            values["model"] = weights
    return _without_brackets(values)


def _dream(command: str) -> Values:
    """A line in shell syntax: the prompt in quotes, then ``-s`` steps, ``-S`` seed, ``-C`` scale, ``-A`` sampler."""
    try:
        words = shlex.split(command)
    except ValueError:  # an unclosed quote: the line itself is kept in raw
        return {}
    options = {_DREAM[name]: value for name, value in pairwise(words) if name in _DREAM}
    return _without_brackets(values_of({"prompt": words[0] if words else "", **options}))


def _without_brackets(values: Values) -> Values:
    """Old versions of InvokeAI write the negative prompt in brackets inside the prompt."""
    prompt = values.get("prompt")
    if not isinstance(prompt, str) or "negative_prompt" in values:
        return values
    negative = [part.strip() for part in re.findall(r"\[([^\[\]]*)\]", prompt)]
    if not any(negative):
        return values
    return {
        **values,
        "prompt": re.sub(r"\s*\[[^\[\]]*\]", "", prompt).strip(" ,"),
        "negative_prompt": ", ".join(negative),
    }


def object_in(text: str) -> dict[str, Any] | None:
    """The JSON object in a text, with JSON objects inside it parsed too; None for any other text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = parse_json(text)
    except ValueError:  # damaged, or words in braces
        return None
    if not isinstance(found, dict):
        return None
    return {name: (object_in(value) or value) if isinstance(value, str) else value for name, value in found.items()}


def whole_number(value: Any) -> int | None:
    """A setting as an int, None if it is not an integer."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,40}", value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """A setting as a float, None if it is not a number."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}(\.\d{0,20})?", value.strip()):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e20:
        return None
    return float(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _words(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None


def _name(value: Any) -> str | None:
    """The name of a model, given directly or in an object."""
    if isinstance(value, dict):
        names = (value.get("name"), value.get("model_name"), value.get("model"))
        return next((found for name in names if (found := _name(name))), None)
    return _words(value)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
