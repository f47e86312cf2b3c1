"""What a model's arrays mean: an embedding, a score, probabilities, tags, an ordinal scale, boxes, keypoints, landmarks, text,
lines, a map, spans of speech.

Belongs here: the kinds of outputs, as data. Does not belong here: the arithmetic from a model's arrays to the values of rows
(``output_values.py``), the columns of a table (``arot_assets.metrics.of_entry``), the arrays themselves (``families``).

``of`` names the array of the family that an output is made of.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid")
Activation = Literal["none", "sigmoid", "softmax", "cumulative", "conditional"]
CUMULATIVE = ("cumulative", "conditional")
"""Of an array with one number fewer than there are ordered levels; see ``activated``."""


@dataclass(frozen=True)
class Embedding:
    """A vector for heads, search and clustering.

    Attributes:
        size: its dimensions.
        normalised: divided by its L2 norm.
        meaning: of its numbers, with their range.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["embedding"]
    size: int
    meaning: str
    name: str = "vector"
    of: str = "embedding"
    normalised: bool = False


@dataclass(frozen=True)
class Score:
    """One number.

    Attributes:
        low, high: the range of the published scale; a value outside is kept and counted. None where it is open.
        index: which number of the array it is.
        activation: of the whole array, before the number is taken.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["score"]
    meaning: str
    name: str = "score"
    of: str = "logits"
    index: int = 0
    activation: Activation = "none"
    scale: float = 1.0
    offset: float = 0.0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Probabilities:
    """A probability for each of a few classes: a column a class, and the most probable one.

    Attributes:
        labels: of the classes, in the model's order; each becomes the name of a column.
        activation: what makes probabilities of the array; ``none`` where it holds probabilities already.
        confidence: the column with the probability of the most probable class; ``<name>_probability`` where it is empty.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["probabilities"]
    labels: tuple[str, ...]
    meaning: str
    name: str = "label"
    of: str = "logits"
    activation: Activation = "softmax"
    confidence: str = ""


@dataclass(frozen=True)
class TagList:
    """The tags of a tagger, in a CSV or JSON file among the weights, or in one of ``vocabularies/``.

    Attributes:
        file: CSV with a header; JSON: a list, or a mapping of index and tag; any other: a tag a line. The n-th tag is the n-th
            number of the output.
        column: of the tag's name.
        path: of the list in a JSON file: ``dataset_info.tag_mapping.idx_to_tag``; empty for the whole of it.
        category: column of its category; in a JSON file the path of a mapping of tag and category; empty without one.
        categories: what the categories' numbers mean.
        threshold: column of a threshold for each tag; empty without one.
        thresholds: the published threshold of each category, shown beside the tags: rows are never cut by them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    file: str
    column: str = "name"
    path: str = ""
    category: str = ""
    categories: Mapping[str, str] | None = None
    threshold: str = ""
    thresholds: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Tags:
    """Probabilities of many tags, those above a low floor; thresholds are for queries.

    Attributes:
        count: the number of tags, and of numbers of the output.
        tags: their names, or the file with them.
        floor: probabilities below are not kept. Far below every threshold.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["tags"]
    count: int
    tags: TagList | tuple[str, ...]
    meaning: str
    name: str = "tags"
    of: str = "logits"
    activation: Activation = "sigmoid"
    floor: float = 0.05


@dataclass(frozen=True)
class Ordinal:
    """A scale of ordered classes: its expectation, and the probability of each level.

    Attributes:
        labels: of the levels, in the model's order.
        values: of the levels: the score is their mean, weighted by probability.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["ordinal"]
    labels: tuple[str, ...]
    values: tuple[float, ...]
    meaning: str
    name: str = "score"
    of: str = "logits"
    activation: Activation = "softmax"


@dataclass(frozen=True)
class Boxes:
    """Found objects: a list of boxes, in shares of width and height.

    The family returns for each image a list of ``(label index, score, left, top, width, height)``.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["boxes"]
    labels: tuple[str, ...]
    meaning: str
    name: str = "boxes"
    of: str = "boxes"


@dataclass(frozen=True)
class Keypoints:
    """Named points of the one thing in an image (the joints of a person), in shares of width and height.

    The family returns for each image a list of ``(label index, score, x, y)``.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["keypoints"]
    labels: tuple[str, ...]
    meaning: str
    name: str = "keypoints"
    of: str = "keypoints"


@dataclass(frozen=True)
class Landmarks:
    """Found things (hands, people) with a box and named points each, how many they are, and what share of the image they take.

    The family returns for each image a list of ``(class index, its probability, score, left, top, width, height)``, and then
    x, y, z and, where there is one, visibility of each point.

    Attributes:
        labels: of the points, in the model's order.
        classes: what a thing is one of, such as a left or a right hand; empty: there is no such question.
        visibility: whether the model says of each point how likely it is in the image and not hidden.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["landmarks"]
    labels: tuple[str, ...]
    meaning: str
    name: str = "landmarks"
    of: str = "landmarks"
    classes: tuple[str, ...] = ()
    visibility: bool = False


@dataclass(frozen=True)
class Text:
    """Text found or written; the family returns a string for each image."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["text"]
    meaning: str
    name: str = "text"
    of: str = "text"


@dataclass(frozen=True)
class Lines:
    """Lines of text found in an image, where they are, the text of those that are read with confidence, and their share of it.

    The family returns for each image a list of ``(text, score, left, top, width, height, area)``, in reading order.

    Attributes:
        confident: score of a line from which it counts for the columns ``text`` and ``text_share``; all lines are kept.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["lines"]
    meaning: str
    name: str = "lines"
    of: str = "lines"
    confident: float = 0.8


@dataclass(frozen=True)
class MapSummary:
    """Numbers about a map over the image (depth, saliency, complexity): its mean, deviation and outer percentiles.

    Attributes:
        threshold: also keep the share of the map above it; None: not.
        low, high: the range of the map's values.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["map"]
    meaning: str
    name: str = "map"
    of: str = "map"
    activation: Literal["none", "sigmoid"] = "none"
    threshold: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Speech:
    """When somebody speaks in the sound of a film: spans of time, how much they are, and the surest moment.

    The family returns for each film a probability for each window of ``window`` samples, from the start of the film on. The rule
    and its defaults are those of Silero VAD's ``get_speech_timestamps``.

    Attributes:
        threshold: probability of a window from which speech begins.
        leave: probability below which it may end.
        least_speech_ms: a shorter span is none.
        least_silence_ms: a shorter pause ends no span.
        pad_ms: each span is made longer by this at both ends, up to the middle of the pause between two.
        window: samples of a window.
        rate: samples a second.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["speech"]
    meaning: str
    name: str = "spans"
    of: str = "probability"
    threshold: float = 0.5
    leave: float = 0.35
    least_speech_ms: float = 250
    least_silence_ms: float = 100
    pad_ms: float = 30
    window: int = 512
    rate: int = 16_000


Output = Annotated[
    Embedding
    | Score
    | Probabilities
    | Tags
    | Ordinal
    | Boxes
    | Keypoints
    | Landmarks
    | Text
    | Lines
    | MapSummary
    | Speech,
    Field(discriminator="kind"),
]
"""Any of the kinds, told by ``kind``."""


def numbers(output: Any) -> dict[str, Any]:
    """What the values of an output depend on: all of it but the prose."""
    said = {k: v for k, v in asdict(output).items() if k not in ("meaning", "low", "high")}
    if not said.get("confidence"):  # a field that was added later counts only where it says something
        said.pop("confidence", None)
    return said


def width(output: Any) -> int | None:
    """How many numbers the output needs for each image; None where any number will do."""
    if isinstance(output, Embedding):
        return output.size
    if isinstance(output, Tags):
        return output.count
    if not isinstance(output, Probabilities | Ordinal):
        return None
    return len(output.labels) - (output.activation in CUMULATIVE)


def columns(output: Any) -> list[str]:
    """The names of the columns that an output makes, in order."""
    if isinstance(output, Probabilities):
        sure = output.confidence or f"{output.name}_probability"
        return [output.name, sure, *(_column(label) for label in output.labels)]
    if isinstance(output, Ordinal):
        return [output.name, *(_column(label) for label in output.labels)]
    if isinstance(output, Tags):
        return [output.name, "probabilities"]
    if isinstance(output, Landmarks):
        return [output.name, f"{output.name}_count", f"{output.name}_share"]
    if isinstance(output, Lines):
        return [output.name, "text", "text_share"]
    if isinstance(output, Speech):
        return ["speech_seconds", "speech_share", "max_probability", "sound_seconds", output.name]
    if isinstance(output, MapSummary):
        share = [f"{output.name}_share"] if output.threshold is not None else []
        return [f"{output.name}_{part}" for part in ("mean", "std", "p05", "p95")] + share
    return [output.name]


def _column(label: str) -> str:
    """A label as the name of a column: ``AI generated`` -> ``p_ai_generated``."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in label.lower())
    return f"p_{plain}"
