"""A model of the catalogue, as data: where its weights are, what input it expects, what it returns.

Belongs here: the data classes of an entry, and the fingerprint that goes into the version of every row a model makes.
Does not belong here: the entries themselves (``catalogue.py``) and anything that loads or runs one.
Dagster processes import this module: no torch, timm or PIL.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from resources.errors import ArotError

STRICT = ConfigDict(extra="forbid")
"""An entry that is read from a file may have no field that nobody knows."""

ResizeMode = Literal["squash"]


class ModelError(ArotError):
    """A model that cannot be used at all; the message names it, the cause and the remedy."""


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become a model's input, in the units of the model card.

    Attributes:
        size: side of the square input, pixels.
        resize: ``squash``: both sides to ``size``; nothing is cropped, the aspect ratio is lost.
        interpolation: a Pillow filter, always with antialiasing.
        mean: of each channel, in 0-1 after division by 255; subtracted.
        std: of each channel; divided by.
        channels: the order that the model was trained with.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    size: int
    resize: ResizeMode
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    channels: Literal["RGB", "BGR"] = "RGB"


@dataclass(frozen=True)
class Weights:
    """One file of tensors, pinned by its hash.

    Attributes:
        package: the installed Python package that ships the file.
        path: the file, relative to the package's folder; ``.safetensors`` or ``.pth`` (read with ``weights_only``).
        sha256: of the whole file, 64 hex digits. A file with a different hash is rejected.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    package: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Output:
    """One array that a model returns for each image.

    Attributes:
        shape: of one image's array, without the batch axis; always float32.
        meaning: the meaning of the numbers, with their range.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: str
    shape: tuple[int, ...]
    meaning: str


@dataclass(frozen=True)
class ModelEntry:
    """One model of the catalogue.

    Attributes:
        name: the key that metrics refer to.
        family: the loader (``models.FAMILIES``).
        id: the model's public name.
        revision: commit or release of ``id``; together with ``weights.sha256`` it pins the numbers.
        options: what else the family needs, e.g. the architecture.
        parameters: the number of its parameters.
        licence: SPDX identifier of the weights.
        reference: the implementation that its parity test compares it with.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: str
    family: str
    id: str
    revision: str
    weights: Weights
    preprocessing: Preprocessing
    outputs: tuple[Output, ...]
    parameters: int
    licence: str
    reference: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """12 hex digits over everything that the numbers depend on: id, revision, weights, options, preprocessing."""
        parts = [
            self.family,
            self.id,
            self.revision,
            self.weights.sha256,
            dict(self.options),
            asdict(self.preprocessing),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
