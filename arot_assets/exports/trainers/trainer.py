"""What the rooms know about a trainer, whichever it is.

Belongs here: the record that each trainer's file fills, and helpers for writing configurations. Does not belong here: any
trainer.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.exact import exact_sizes
from arot_assets.exports.buckets.plan import Batch, Remainder
from arot_assets.exports.companions import companion_folder
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layout import Sample


@dataclass(frozen=True)
class Part:
    """The samples of one subset in an export.

    Attributes:
        subset: its name.
        folder: where its media are, below the version's folder.
        repeats: times that each is seen in an epoch.
        samples: number of samples.
    """

    subset: str
    folder: str
    repeats: int
    samples: int


@dataclass(frozen=True)
class Scene:
    """What a configuration is written for.

    Attributes:
        declaration: what the user declared.
        root: absolute path of the version's folder on the trainer's machine.
        medium: ``image`` or ``video``.
        parts: the subsets.
    """

    declaration: ExportDeclaration
    root: str
    medium: str
    parts: Sequence[Part]

    @property
    def video(self) -> bool:
        """Whether the samples are clips."""
        return self.medium == "video"

    def folder(self, part: Part) -> str:
        """Absolute path of a part's media."""
        return f"{self.root}/{part.folder}"

    def beside(self, part: Part) -> dict[str, str]:
        """Role -> absolute path of the folder with a part's companions of that role."""
        folders = {role: companion_folder(role, part.folder) for role in self.declaration.companions}
        return {role: f"{self.root}/{folder}" for role, folder in folders.items()}

    def cache(self, trainer: str, part: Part) -> str:
        """Absolute path of a folder in which the trainer may keep what it computes; none is shared."""
        return f"{self.root}/cache/{trainer}/{part.subset}"

    def sizes(self) -> list[tuple[int, int]]:
        """Training sizes to list where a trainer wants a list: in ascending order of width / height."""
        declaration = self.declaration
        width, height = declaration.video_size
        if self.video:
            sizes = [(width, height), (height, width)]
        elif declaration.media == "exact":
            sizes = exact_sizes(declaration.resolution)
        else:
            sizes = [(declaration.resolution, declaration.resolution)]
        return sorted(dict.fromkeys(sizes), key=lambda one: one[0] / one[1])


@dataclass(frozen=True, slots=True)
class Arranged:
    """A file that one trainer alone wants.

    Attributes:
        path: below the version's folder.
        source: the media file of the version that it is the same as; empty for a text.
        text: what is in it, if it has no source.
        png: whether a picture has to be PNG, whatever its source is.
    """

    path: str
    source: str = ""
    text: str = ""
    png: bool = False


@dataclass(frozen=True)
class Trainer:
    """One trainer.

    Attributes:
        name: for declarations.
        title: its repository.
        media: what it trains.
        layouts: the layouts that its loader takes.
        remainder: what becomes of samples that do not fill a batch.
        config: name and text of its configuration file; None if it takes all from its command line.
        command: how it is started, for the documentation beside the configuration.
        rule: its buckets with the settings that ``config`` writes.
        missing_caption: what it does with media that have no caption file.
        arrange: the files that only this trainer wants, where it cannot take the layout's as they are, from the scene and the
            samples of each media folder.
        companions: medium -> the roles of companions that it takes.
        companion_layouts: the layouts in which it finds them; None for all.
        one_companion: it takes only one of them at a time.
        repeats: it can see the samples of some subsets more often than others.
        superseded: another one has taken its place; it is taken into account only where a declaration names it.
    """

    name: str
    title: str
    media: frozenset[str]
    layouts: frozenset[str]
    remainder: Remainder
    config: Callable[[Scene], tuple[str, str] | None]
    command: Callable[[Scene], str]
    rule: Callable[[ExportDeclaration, str], Rule]
    missing_caption: str
    arrange: Callable[[Scene, Mapping[str, Sequence[Sample]]], Iterator[Arranged]] | None = None
    companions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    companion_layouts: frozenset[str] | None = None
    one_companion: bool = False
    repeats: bool = True
    superseded: bool = False

    def takes(self, declaration: ExportDeclaration, medium: str) -> bool:
        """Whether it takes this medium in the layout of an export, with the masks and controls that it has."""
        asked = set(declaration.companions)
        beside = asked <= self.companions.get(medium, frozenset()) and not (self.one_companion and len(asked) > 1)
        if asked and self.companion_layouts is not None:
            beside = beside and declaration.layout in self.companion_layouts
        mixed = self.repeats or not declaration.weighted
        return declaration.layout in self.layouts and medium in self.media and beside and mixed

    def batch(self, declaration: ExportDeclaration) -> Batch:
        """What it trains in one step."""
        return Batch(declaration.batch_size, declaration.gradient_accumulation, declaration.gpus, self.remainder)


def json_text(value: Any) -> str:
    """JSON as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def toml(values: Mapping[str, Any], indent: str = "") -> str:
    """Lines of ``key = value``; strings are quoted as JSON quotes them, which TOML reads alike."""
    return "".join(f"{indent}{key} = {_toml_value(value)}\n" for key, value in values.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
