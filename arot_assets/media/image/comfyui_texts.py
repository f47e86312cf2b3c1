"""The text behind a link of a ComfyUI graph: which prompt feeds the positive and which the negative side of a sampler.

Belongs here: following conditioning and strings upstream. Does not belong here: samplers and their settings (``comfyui``).

A link is ``[node id, output]``, and a graph does not say what an output is. The meaning of a link follows from the side
for which it is requested (its role) and from the names of the node's inputs; node types are many and user-made, so only
a few kinds are recognized by name: those that zero a conditioning, join strings, or take the first available one of
several inputs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

Role = Literal["positive", "negative"]
Graph = Mapping[str, Any]
Inputs = Mapping[str, Any]

MAX_TEXT = 100_000
"""Maximum length of joined strings, in characters: a graph can double a string with each node."""
MAX_DEPTH = 60
"""Longest chain of nodes that is followed; large published graphs are some dozens deep, and each step uses stack."""

_POSITIVE = re.compile(r"(?:^|_)pos(?:itive)?(?:_|$)")
_NEGATIVE = re.compile(r"(?:^|_)neg(?:ative)?(?:_|$)")
_BUNDLE = re.compile(r"pipe|ctx|context|guider|bundle|tuple|^text_embeds$")
_CONDITIONING = re.compile(r"^(?!empty|clip_vision)(?:.*_)?cond(?:itioning|s|ition)?(?:_|\d|$)")
_ZEROED = re.compile(r"zero_?out|zeroed", re.IGNORECASE)
_JOINING = re.compile(r"concat|join|append|combine", re.IGNORECASE)
_FIRST_PRESENT = re.compile(r"any[ _]?switch", re.IGNORECASE)
_PARTS = re.compile(r"(?:text|string|str|prompt|part|phrase|input)(?:_?input)?_?(?:[a-fh-km-z]|\d+)")
_DELIMITERS = ("delimiter", "separator", "sep")
_ENCODED = (
    *("text", "prompt", "user_prompt", "text_g", "text_l", "clip_g", "clip_l", "t5xxl", "llama", "bert", "mt5xl"),
    *("string", "wildcard_text", "value"),
)
"""Inputs that are prompts: encoders with several text models have one for each, usually with the same text."""
_OTHER_TEXT = re.compile(r"text|prompt|string|caption")
_NO_TEXT = re.compile(r"clip$|model|encoder|vae|image|latent|pixels|mask|control_net|_name$|system")
_PASSED_ON = re.compile(r"^$|^\*$|^(?:any|anything|input|value|source|string|text|obj|object)_?\d*$")
_SELECTORS = ("select", "index", "input", "boolean", "switch", "condition")
_BRANCHES = {
    True: re.compile(r"(?:on_)?true|tt_value|.*_a"),
    False: re.compile(r"(?:on_)?false|ff_value|.*_b"),
}


def is_link(value: Any) -> bool:
    """Whether an input's value is the output of another node."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def node_inputs(graph: Graph, key: Any) -> Inputs | None:
    """The inputs of a node by lower-case name; None if there is no such node."""
    node = graph.get(key) if isinstance(key, str) else None
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    return {name.lower(): value for name, value in inputs.items()} if isinstance(inputs, Mapping) else None


def node_type(graph: Graph, key: str) -> str:
    """The class of a node, empty if it has none."""
    name = graph[key].get("class_type")
    return name if isinstance(name, str) else ""


def is_bundle(name: str) -> bool:
    """Whether an input carries several things at once, both prompts among them (pipes, contexts, guiders)."""
    return _BUNDLE.search(name) is not None


def branch(inputs: Inputs) -> Any | None:
    """The input that a switch selects, None for other nodes and for switches whose position is not stored."""
    for selector in _SELECTORS:
        position = inputs.get(selector)
        if isinstance(position, bool):
            names = [name for name in inputs if name != selector and _BRANCHES[position].fullmatch(name)]
        elif isinstance(position, int):
            names = [name for name in inputs if re.fullmatch(rf"[a-z_ ]*?_?0*{position}", name) and name != selector]
        else:
            continue
        if names:
            return inputs[names[0]]
    return None


class TextReader:
    """Reads the texts of one graph; each node is resolved once per role, and loops end."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[tuple[str, int, Role, bool], str] = {}

    def role_text(self, inputs: Inputs, role: Role) -> str:
        """The text on one side of a sampling node; empty if that side has none."""
        return self._side(inputs, role, output=None, bundle=True)

    def _value(self, value: Any, role: Role, depth: int, bundle: bool = False) -> str:
        """The text of an input: its own value, or from upstream."""
        if isinstance(value, str):
            return value.strip()
        if not is_link(value) or depth > MAX_DEPTH:
            return ""
        key, output = value
        place = (key, output, role, bundle)
        if place not in self._known:
            self._known[place] = ""  # the result for a loop that returns here
            inputs = node_inputs(self._graph, key)
            if inputs is not None:
                self._known[place] = self._node(key, inputs, output, role, bundle, depth + 1)[:MAX_TEXT]
        return self._known[place]

    def _node(self, key: str, inputs: Inputs, output: int, role: Role, bundle: bool, depth: int) -> str:
        kind = node_type(self._graph, key)
        if _ZEROED.search(kind):
            return ""
        if (chosen := branch(inputs)) is not None:
            return self._value(chosen, role, depth, bundle)
        if _FIRST_PRESENT.search(kind):
            return self._first(inputs.values(), role, depth)
        if _JOINING.search(kind) and not any(_CONDITIONING.search(name) for name in inputs):
            parts = [name for name in inputs if _PARTS.fullmatch(name)]
            return self._joined(inputs, parts if len(parts) > 1 else list(inputs), role, depth)
        return self._side(inputs, role, output, bundle, depth)

    def _side(self, inputs: Inputs, role: Role, output: int | None, bundle: bool, depth: int = 0) -> str:
        """The text of a node for a role.

        A node with both prompts as links and without a model is passed through by both (ControlNet): its first output
        is the positive side, its second the negative one, whatever the sampler calls it. All others are resolved by
        role.
        """
        sides: dict[Role, list[Any]] = {"positive": [], "negative": []}
        for name, value in inputs.items():
            if (side := _role_of(name)) and (isinstance(value, str) or is_link(value)):
                sides[side].append(value)
        if sides["positive"] and sides["negative"]:
            linked = all(is_link(value) for values in sides.values() for value in values)
            if linked and not bundle and output in (0, 1) and "model" not in inputs:
                role = ("positive", "negative")[output]
            return self._distinct(sides[role], role, depth)
        if sides[role]:
            return self._distinct(sides[role], role, depth)
        bundles = [value for name, value in inputs.items() if is_bundle(name)]
        if text := self._first(bundles, role, depth, bundle=True):
            return text
        if not bundle and (
            other := sides["positive"] + sides["negative"]
        ):  # a node named for the one serves as the other
            return self._distinct(other, role, depth)
        passed_on = [value for name, value in inputs.items() if _PASSED_ON.match(name)]
        if bundle and role == "negative":  # a guider without a negative side has none
            return self._first(passed_on, role, depth, bundle=True)
        texts = self._own_texts(inputs, role, depth)
        if texts is not None:
            return texts
        conditionings = [v for name, v in inputs.items() if _CONDITIONING.search(name) and not _role_of(name)]
        if any(is_link(value) for value in conditionings):
            return self._distinct([value for value in conditionings if is_link(value)], role, depth)
        return self._first(passed_on, role, depth, bundle)

    def _own_texts(self, inputs: Inputs, role: Role, depth: int) -> str | None:
        """The text of a node's own inputs, None if it has none. An empty text counts as a text: nothing else is
        searched."""
        populated = inputs.get("populated_text")
        if isinstance(populated, str) and populated.strip():  # a template with its wildcards replaced
            return populated.strip()
        encoded = [inputs[name] for name in _ENCODED if isinstance(inputs.get(name), str) or is_link(inputs.get(name))]
        if encoded:
            return self._distinct(encoded, role, depth)
        parts = [name for name in inputs if _PARTS.fullmatch(name)]
        if len(parts) > 1:
            return self._joined(inputs, parts, role, depth)
        for name, value in inputs.items():
            is_text = isinstance(value, str) or is_link(value)
            if is_text and _OTHER_TEXT.search(name) and not _NO_TEXT.search(name) and not is_bundle(name):
                return self._value(value, role, depth)
        return None

    def _joined(self, inputs: Inputs, names: list[str], role: Role, depth: int) -> str:
        """Strings in order, joined by the node's delimiter."""
        written = next((inputs[name] for name in _DELIMITERS if isinstance(inputs.get(name), str)), " ")
        parts = []
        for name in names:
            value = inputs.get(name)
            if name not in _DELIMITERS and not _NO_TEXT.search(name) and (isinstance(value, str) or is_link(value)):
                parts.append(self._value(value, role, depth))
        return written.replace("\\n", "\n").join(part for part in parts if part).strip()

    def _distinct(self, values: list[Any], role: Role, depth: int) -> str:
        """Distinct texts, one per line."""
        texts = dict.fromkeys(self._value(value, role, depth) for value in values)
        return "\n".join(text for text in texts if text)

    def _first(self, values: Iterable[Any], role: Role, depth: int, bundle: bool = False) -> str:
        """The first text behind links."""
        texts: Iterator[str] = (self._value(value, role, depth, bundle) for value in values if is_link(value))
        return next((text for text in texts if text), "")


def _role_of(name: str) -> Role | None:
    if _NEGATIVE.search(name):
        return "negative"
    return "positive" if _POSITIVE.search(name) else None
