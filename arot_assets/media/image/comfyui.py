"""ComfyUI's ``prompt``: a graph of nodes, read backwards from the sampler.

Belongs here: following links to the values that a person means by prompt, seed, model.
Does not belong here: other tools (``generation``).

A graph is ``{id: {"class_type": ..., "inputs": {name: value or [id, output]}}}``. Node types are many and user-made, so nothing
is looked up by node type but the sampler: a value is taken from the nearest node upstream whose input has a known name.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Node = Mapping[str, Any]
Graph = Mapping[str, Any]

_TEXT = ("text", "text_g", "prompt", "string", "wildcard_text", "text_positive", "value", "text1", "text_l")
_SEED = ("seed", "noise_seed")
_MODEL = ("ckpt_name", "unet_name", "model_name", "base_ckpt_name")


def read_graph(graph: Any) -> dict[str, Any]:
    """Prompt, negative prompt, seed, steps, sampler, cfg_scale and model of the first sampler, as far as they are found.

    Args:
        graph: ComfyUI's ``prompt`` (not its ``workflow``, which is the drawing of it), or anything.
    """
    if not isinstance(graph, Mapping):
        return {}
    start = _sampler(graph)
    if start is None:
        return {}
    inputs = graph[start]["inputs"]
    positive = inputs.get("positive", inputs.get("guider"))
    return {
        "prompt": _upstream(graph, positive, _TEXT, str),
        "negative_prompt": _upstream(graph, inputs.get("negative"), _TEXT, str),
        "seed": _nearest(graph, start, _SEED, int),
        "steps": _nearest(graph, start, ("steps",), int),
        "sampler": _nearest(graph, start, ("sampler_name",), str),
        "cfg_scale": _float(_nearest(graph, start, ("cfg", "guidance"), (int, float))),
        "model": _nearest(graph, start, _MODEL, str),
    }


def _sampler(graph: Graph) -> str | None:
    """The first node that samples: it has a seed or noise, and steps or sigmas."""
    for key, node in graph.items():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if not isinstance(inputs, Mapping):
            continue
        guided = "positive" in inputs or "guider" in inputs
        if guided and ("latent_image" in inputs or "sampler_name" in inputs or "sigmas" in inputs):
            return str(key)
    return None


def _nodes(graph: Graph, start: Any) -> Iterator[Mapping[str, Any]]:
    """The inputs of a node and of all nodes upstream, nearest first, each once."""
    pending, seen = [start], set[str]()
    for key in pending:
        node = graph.get(key) if isinstance(key, str) and key not in seen else None
        if not isinstance(node, Mapping) or not isinstance(node.get("inputs"), Mapping):
            continue
        seen.add(key)
        yield node["inputs"]
        pending += [value[0] for value in node["inputs"].values() if _is_link(value)]


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _nearest(graph: Graph, start: Any, names: tuple[str, ...], kind: type | tuple[type, ...]) -> Any | None:
    """The first value of one of these names, at a node or upstream of it; a linked value is followed."""
    for inputs in _nodes(graph, start):
        for name in names:
            value = inputs.get(name)
            if isinstance(value, kind) and not isinstance(value, bool) and value != "":
                return value
            if _is_link(value):
                linked = _upstream(graph, value, (*names, "value", "int", "float", "string"), kind)
                if linked is not None:
                    return linked
    return None


def _upstream(graph: Graph, link: Any, names: tuple[str, ...], kind: type | tuple[type, ...]) -> Any | None:
    """The first value of one of these names at the node that a link leads to, or upstream of it."""
    if not _is_link(link):
        return None
    for inputs in _nodes(graph, link[0]):
        for name in names:
            value = inputs.get(name)
            if isinstance(value, kind) and not isinstance(value, bool) and value != "":
                return value
    return None


def _float(value: Any | None) -> float | None:
    return None if value is None or abs(value) > 1e20 else float(value)
