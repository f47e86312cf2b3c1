"""ComfyUI's ``prompt``: a graph of nodes, read backwards from the sampler.

Belongs here: which sampler made the image, and following links to its seed, steps, guidance and model.
Does not belong here: the prompts (``comfyui_texts``), other tools (``generation``).

A graph is ``{id: {"class_type": ..., "inputs": {name: value or [id, output]}}}``. Of several samplers, the one is read
that an output (a saved image, otherwise a shown one) depends on and that depends on no other: later ones refine its
image.
"""

import re
from collections.abc import Iterator
from typing import Any

from arot_assets.media.image.comfyui_texts import (
    MAX_DEPTH,
    Graph,
    Inputs,
    TextReader,
    branch,
    is_bundle,
    is_link,
    node_inputs,
    node_type,
)

Kind = type | tuple[type, ...]

_SEED = ("seed", "noise_seed")
_MODEL = ("ckpt_name", "base_ckpt_name", "unet_name", "gguf_name", "model_name", "checkpoint", "model")
_SCALARS = ("value", "int", "float", "string", "number", "content", "")
_SAVES, _SHOWS = re.compile(r"save|output|videocombine", re.IGNORECASE), re.compile(r"preview|show", re.IGNORECASE)


def is_graph(value: Any) -> bool:
    """Whether parsed JSON is a graph: an object of nodes with a class."""
    return isinstance(value, dict) and any(isinstance(node, dict) and "class_type" in node for node in value.values())


def read_graph(graph: Any) -> dict[str, Any]:
    """Prompt, negative prompt, seed, steps, sampler, cfg_scale and model of the sampler, as far as they can be found.

    Args:
        graph: ComfyUI's ``prompt`` (not its ``workflow``, which describes the editor's canvas), or anything.
    """
    if not isinstance(graph, dict):
        return {}
    readings = (_read_sampler(graph, key) for key in _samplers(graph))
    first: dict[str, Any] = {}
    for reading in readings:
        if reading["prompt"]:
            return reading
        first = first or reading
    return first


def _read_sampler(graph: Graph, key: str) -> dict[str, Any]:
    inputs = node_inputs(graph, key) or {}
    texts = TextReader(graph)
    guidance = _setting(
        graph, key, ("cfg", "guidance", "true_gs"), (int, float), ("guider", "positive", "conditioning")
    )
    return {
        "prompt": texts.role_text(inputs, "positive"),
        "negative_prompt": texts.role_text(inputs, "negative"),
        "seed": _setting(graph, key, _SEED, int, ("noise",)),
        "steps": _setting(graph, key, ("steps",), int, ("sigmas",)),
        "sampler": _setting(graph, key, ("sampler_name",), str, ("sampler",)),
        "cfg_scale": None if guidance is None or abs(guidance) > 1e20 else float(guidance),
        "model": _setting(graph, key, _MODEL, str, ("model", "model1", "guider"))
        or _setting(graph, key, ("ckpt_name", "unet_name"), str, ("latent_image", "image", "positive")),
    }


def _samplers(graph: Graph) -> list[str]:
    """Nodes that sample, those to be read first at the front."""
    inputs = {str(key): found for key in graph if (found := node_inputs(graph, key)) is not None}
    samplers = [key for key, found in inputs.items() if _samples(found)]
    if not samplers:  # an all-in-one node: its prompt and its seed are inputs
        samplers = [key for key, found in inputs.items() if set(_SEED) & set(found) and _prompted(found)]
    for outputs in (_SAVES, _SHOWS):
        ends = [key for key in inputs if outputs.search(node_type(graph, key)) and key not in samplers]
        reached = _upstream(inputs, ends)
        if kept := [key for key in samplers if key in reached]:
            samplers = kept
            break
    known = set(samplers)
    return sorted(samplers, key=lambda key: len(_upstream(inputs, [key]) & known))


def _samples(inputs: Inputs) -> bool:
    """Whether a node has inputs that only samplers have: prompts, and noise or an image to start from."""
    sides = any(name in ("positive", "conditioning") or is_bundle(name) for name in inputs)
    starts = {"latent_image", "sigmas", "samples"} & set(inputs)
    tuned = {"sampler_name", "sampler", "steps", "guider", *_SEED} & set(inputs)
    return sides and bool((starts and tuned) or {"sampler_name", "steps"} <= set(inputs))


def _prompted(inputs: Inputs) -> bool:
    return any(name in ("prompt", "text") or name.startswith("positive") for name in inputs)


def _upstream(inputs: dict[str, Inputs], start: list[str]) -> set[str]:
    """Nodes that these nodes depend on, including themselves."""
    pending, seen = list(start), set[str]()
    while pending:
        key = pending.pop()
        if key in inputs and key not in seen:
            seen.add(key)
            pending += [value[0] for value in inputs[key].values() if is_link(value)]
    return seen


def _setting(graph: Graph, start: str, names: tuple[str, ...], kind: Kind, via: tuple[str, ...]) -> Any | None:
    """A setting of a sampler: its own, or that of the nearest node behind inputs named in ``via`` or a bundle."""
    for inputs in _behind(graph, start, via):
        for name in names:
            value = inputs.get(name)
            if isinstance(value, dict):  # a file chooser: the name and a preview image
                value = value.get("content")
            found = _scalar(graph, value, names, kind) if is_link(value) and name not in via else value
            if isinstance(found, kind) and not isinstance(found, bool) and found != "":
                return found
    return None


def _behind(graph: Graph, start: str, via: tuple[str, ...]) -> Iterator[Inputs]:
    """Inputs of a node and of the upstream nodes reached through these names, nearest first, each once."""
    pending, seen = [start], set[str]()
    for key in pending:
        inputs = node_inputs(graph, key) if key not in seen else None
        if inputs is None:
            continue
        seen.add(key)
        yield inputs
        chosen = branch(inputs)
        followed = [chosen] if chosen is not None else [v for name, v in inputs.items() if _leads_on(name, via)]
        pending += [value[0] for value in followed if is_link(value)]


def _leads_on(name: str, via: tuple[str, ...]) -> bool:
    return name in via or is_bundle(name) or name in ("", "any", "anything", "input") or name.startswith("any_")


def _scalar(graph: Graph, link: Any, names: tuple[str, ...], kind: Kind) -> Any | None:
    """The number or word that a linked input receives, through switches and nodes that pass it on."""
    for _ in range(MAX_DEPTH):
        inputs = node_inputs(graph, link[0])
        if inputs is None:
            return None
        values = [branch(inputs), *(inputs.get(name) for name in (*names, *_SCALARS, "any", "anything", "input"))]
        found = next((v for v in values if is_link(v) or (isinstance(v, kind) and not isinstance(v, bool))), None)
        if not is_link(found):
            return found
        link = found
    return None
