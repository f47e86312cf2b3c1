"""Everything that users declare in ``arot_assets/defs/**/defs.yaml``, read and checked.

Belongs here: the kinds of declarations, and errors that name file and line. Does not belong here: what a declaration
leads to (``components.py`` and the rooms' ``assets.py``).
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, field_validator

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.datasets.declaration import ImageDatasetDeclaration
from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.metrics.registry import known_metrics
from arot_assets.project import defs_folder
from arot_assets.yaml_lines import Where, YamlFile, read_yaml
from resources.errors import ArotError
from resources.storage.http.rules import redacted
from resources.storage.hub.address import MAIN

FILE = "defs.yaml"


class DeclarationError(ArotError):
    """A declaration that cannot be used; the message names file, line, cause and remedy."""


class ImageDataset(ImageDatasetDeclaration):
    """An image dataset whose metrics are known to the catalogue."""

    @field_validator("metrics")
    @classmethod
    def _known_once(cls, metrics: list[str]) -> list[str]:
        known = known_metrics()
        for name in metrics:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ValueError(f"no metric {name!r};{hint} there are: {', '.join(sorted(known))}")
        if len(set(metrics)) < len(metrics):
            raise ValueError("a metric is named twice")
        return metrics


KINDS: Mapping[str, type[BaseModel]] = {
    "arot_assets.components.ImageDataset": ImageDataset,
    "arot_assets.components.Classifier": ClassifierDeclaration,
    "arot_assets.components.HubDataset": HubDatasetDeclaration,
}


class Declarations:
    """What is declared: datasets, classifiers and exports by name.

    Attributes:
        datasets: name -> declaration.
        classifiers: name -> declaration.
        exports: name -> declaration.
        files: name -> the file that declares it, for errors.
    """

    def __init__(self) -> None:
        self.datasets: dict[str, ImageDataset] = {}
        self.classifiers: dict[str, ClassifierDeclaration] = {}
        self.exports: dict[str, HubDatasetDeclaration] = {}
        self.files: dict[str, YamlFile] = {}

    def dataset(self, name: str) -> ImageDataset:
        """The dataset of this name.

        Raises:
            DeclarationError: not declared.
        """
        if name not in self.datasets:
            declared = ", ".join(sorted(self.datasets)) or "none"
            raise DeclarationError(
                f"no dataset '{name}';{did_you_mean(name, self.datasets) or f' declared: {declared}.'} "
                f"`arot new image-dataset {name} SOURCE` declares it"
            )
        return self.datasets[name]

    def export(self, name: str) -> HubDatasetDeclaration:
        """The export of this name.

        Raises:
            DeclarationError: not declared.
        """
        if name not in self.exports:
            raise DeclarationError(
                f"no export '{name}'.{did_you_mean(name, self.exports)} "
                f"`arot new hub-dataset {name} SUBSET OWNER/REPO` declares it"
            )
        return self.exports[name]

    def all(self) -> list[BaseModel]:
        """Every declaration."""
        return [*self.datasets.values(), *self.classifiers.values(), *self.exports.values()]

    def check_subsets(self, subsets: Collection[str]) -> None:
        """Hold the exports to the SQL project.

        Args:
            subsets: names of the models that are tagged ``subset``.

        Raises:
            DeclarationError: an export of something else; names file and line.
        """
        for name, export in self.exports.items():
            if export.subset not in subsets:
                raise _error(
                    self.files[name],
                    ("attributes", "subset"),
                    f"no SQL model '{export.subset}' is tagged `subset`.{did_you_mean(export.subset, subsets)}",
                )


def load_declarations(folder: Path | None = None) -> Declarations:
    """Read every ``defs.yaml`` below a folder, by default the project's.

    Raises:
        DeclarationError: not YAML, an unknown type or key, a wrong value, a name declared twice, a classifier of a
            dataset or metric that is not declared, two exports to one branch.
    """
    found = Declarations()
    places: dict[str, Path] = {}
    for path in sorted((folder or defs_folder()).rglob(FILE)):
        try:
            file = read_yaml(path)
        except ProjectError as error:
            raise DeclarationError(str(error)) from error
        declaration = _parse(file)
        name = str(declaration.name)  # type: ignore[attr-defined]
        if name in places:
            raise DeclarationError(f"{path}:1: '{name}' is declared in {places[name]} already; choose another name")
        places[name], found.files[name] = path, file
        if isinstance(declaration, ImageDataset):
            found.datasets[name] = declaration
        elif isinstance(declaration, ClassifierDeclaration):
            found.classifiers[name] = declaration
        elif isinstance(declaration, HubDatasetDeclaration):
            found.exports[name] = declaration
    for name, classifier in found.classifiers.items():
        _check_classifier(classifier, found, found.files[name])
    _check_exports(found)
    return found


def _check_classifier(classifier: ClassifierDeclaration, found: Declarations, file: YamlFile) -> None:
    dataset = found.datasets.get(classifier.dataset)
    if dataset is None:
        hint = did_you_mean(classifier.dataset, found.datasets)
        raise _error(file, ("attributes", "dataset"), f"no dataset '{classifier.dataset}' is declared.{hint}")
    for needed in (classifier.embedding, "phash"):
        if needed not in dataset.metrics:
            raise _error(
                file,
                ("attributes", "embedding"),
                f"classifier '{classifier.name}' needs the metric '{needed}': add it to the metrics of '{dataset.name}'",
            )


def _check_exports(found: Declarations) -> None:
    taken: dict[tuple[str, str], str] = {}
    for name, export in found.exports.items():
        other = taken.setdefault((export.repo, export.revision or MAIN), name)
        if other != name:
            raise _error(
                found.files[name],
                ("attributes", "repo"),
                f"'{export.repo}' is what export '{other}' publishes to; give each a repo or a revision of its own",
            )


def _parse(file: YamlFile) -> BaseModel:
    """One declaration of a parsed file.

    Raises:
        DeclarationError: with the line of the key or value at fault.
    """
    value = file.value
    if not isinstance(value, dict) or "type" not in value:
        raise _error(file, (), "a declaration needs the keys 'type' and 'attributes'")
    kind = KINDS.get(str(value["type"]))
    if kind is None:
        known = ", ".join(KINDS)
        raise _error(
            file, ("type",), f"unknown type '{value['type']}';{did_you_mean(str(value['type']), KINDS)} known: {known}"
        )
    for key in value:
        if key not in ("type", "attributes"):
            raise _error(file, (key,), f"unknown key '{key}'; a declaration has 'type' and 'attributes'")
    try:
        return kind.model_validate(value.get("attributes") or {})
    except ValidationError as error:
        found = error.errors()
        # a key that is misspelt is missing too; the misspelling is what helps
        first: Mapping[str, Any] = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
        where: Where = ("attributes", *first["loc"])
        key = str(first["loc"][-1]) if first["loc"] else "attributes"
        if first["type"] == "extra_forbidden":
            raise _error(
                file, where, f"unknown key '{key}'.{did_you_mean(key, _known_keys(kind, first['loc']))}"
            ) from error
        if first["type"] == "missing":
            raise _error(file, ("attributes",), f"'{key}' is missing: {kind.model_fields[key].description}") from error
        text = str(first["msg"]).removeprefix("Value error, ")
        raise _error(
            file, where, f"'{'.'.join(str(x) for x in first['loc'])}': {text} (got {shown(first['input'])})"
        ) from error


def shown(value: object) -> str:
    """A value as an error may show it: an address without its password and signature."""
    return repr(redacted(value) if isinstance(value, str) and "://" in value else value)


def _known_keys(kind: type[BaseModel], where: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a place of a declaration."""
    for part in where[:-1]:
        annotation: Any = kind.model_fields[str(part)].annotation
        kind = next(a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel))
    return list(kind.model_fields)


def _error(file: YamlFile, where: Where, message: str) -> DeclarationError:
    return DeclarationError(str(file.error(where, message)))
