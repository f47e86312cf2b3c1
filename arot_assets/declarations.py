"""Everything that users declare in ``defs/**/defs.yaml``, read and validated.

Belongs here: the kinds of declarations, and faults with file and line. Does not belong here: what is built from a
declaration (``components.py`` and the rooms' ``assets.py``).

A fault leaves out the declaration that contains it, and whatever depends on that one; everything else is loaded
normally.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.fields import FieldsError
from arot_assets.captions.prompt import PromptError, read_prompt
from arot_assets.captions.table import caption_table
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.clips.dataset import folder_of
from arot_assets.clips.declaration import Cutting
from arot_assets.clips.steps import cut_path
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.samples import samples_schema
from arot_assets.duplicates.declaration import DuplicatesDeclaration
from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.export import ExportDeclaration
from arot_assets.media.image.medium import IMAGE
from arot_assets.media.medium import MAX_HOURS, Limits, Medium
from arot_assets.media.video.medium import VIDEO
from arot_assets.metrics.registry import MetricFileError, get_metric, known_metrics
from arot_assets.metrics.takes import faults_of_inputs
from arot_assets.project import defs_folder
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.split import PHASH
from arot_assets.yaml_lines import Where, YamlFile, read_yaml
from resources.errors import ArotError
from resources.storage.http.rules import redacted
from resources.storage.hub.address import MAIN

FILE = "defs.yaml"
MISNAMED = "defs.yml"
NEEDED_BY_CLASSIFIERS = PHASH
RESERVED_SCHEMAS = ("main", "ratings", "tags")
RESERVED_TABLES = ("samples", "inventory", "wide", "sample")


class DeclarationError(ArotError):
    """A declaration that cannot be used; the message names file, line, cause and remedy."""


@dataclass(frozen=True)
class Fault:
    """An error in one declaration or one metric.

    Attributes:
        name: what is left out; for a file that cannot be read, the name of its folder.
        error: why, with file, line and remedy. Something left out only because of another fault has that fault's error.
    """

    name: str
    error: ArotError


class Dataset(DatasetDeclaration):
    """A dataset whose metrics are checked against the catalogue."""

    @field_validator("metrics")
    @classmethod
    def _known_once(cls, metrics: list[str]) -> list[str]:
        known = known_metrics()
        for name in metrics:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ValueError(f"no metric {name!r};{hint} known metrics: {', '.join(sorted(known))}")
        if len(set(metrics)) < len(metrics):
            raise ValueError("a metric is listed twice; remove one of them")
        own = sorted({table.name for table in cls.medium.tables} & set(metrics))
        if own:
            raise ValueError(
                f"'{own[0]}' is a table of every dataset of {cls.medium.name}s; remove it from the metrics"
            )
        return metrics


class ImageDataset(Dataset):
    """A dataset of images."""

    medium: ClassVar[Medium] = IMAGE


class VideoDataset(Dataset):
    """A dataset of films. Its metrics are those of images: they run on two stills a second."""

    medium: ClassVar[Medium] = VIDEO

    metrics: Annotated[
        list[str], Field(default_factory=list, description="metric tables to keep, measured on two stills a second")
    ]
    shard_size: Annotated[int, Field(ge=1, description="films in a shard, which is one Dagster partition")] = 200
    shard_gigabytes: Annotated[
        float | None, Field(gt=0, description="a shard ends before it has more; a larger film is a shard of its own")
    ] = 20.0
    max_megapixels: Annotated[
        float, Field(gt=0, description="limit of width x height in millions of pixels, checked in the header of a film")
    ] = 40.0
    max_hours: Annotated[float, Field(gt=0, description="limit of a film's length, checked in its header")] = MAX_HOURS
    salvage: Annotated[
        bool,
        Field(description="use what is there of films that end before their index says; otherwise they are corrupt"),
    ] = False

    @property
    def limits(self) -> Limits:
        """The limits for a film."""
        return Limits(self.max_megapixels, self.max_hours, self.salvage)


class Clips(Cutting, VideoDataset):
    """Clips that are cut out of the films of another dataset, as a dataset of films: each file is a sample."""

    source: Annotated[str, Field(description="set by arot: the folder of the files in the store")] = ""
    settle_seconds: Annotated[float, Field(ge=0, description="files appear complete")] = 0.0
    may_vanish: Annotated[
        float, Field(ge=0, le=1, description="clips that the model no longer has may vanish, as many as it likes")
    ] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _placed(cls, values: Any) -> Any:
        if isinstance(values, dict):
            if "source" in values:
                raise ValueError("`source` is the folder of the store in which arot puts the clips; leave it out")
            return {**values, "source": folder_of(str(values.get("name")))}
        return values

    @property
    def cutting(self) -> Cutting:
        """Which clips are cut, and how."""
        return self

    @property
    def made_from(self) -> tuple[tuple[str, ...], ...]:
        """The asset that cuts the files."""
        return (cut_path(self.name),)


KINDS: Mapping[str, type[BaseModel]] = {
    "arot_assets.components.ImageDataset": ImageDataset,
    "arot_assets.components.VideoDataset": VideoDataset,
    "arot_assets.components.Clips": Clips,
    "arot_assets.components.Classifier": ClassifierDeclaration,
    "arot_assets.components.HubDataset": HubDatasetDeclaration,
    "arot_assets.components.Export": ExportDeclaration,
    "arot_assets.components.Captions": CaptionsDeclaration,
    "arot_assets.components.Ratings": RatingsDeclaration,
    "arot_assets.components.Duplicates": DuplicatesDeclaration,
}


class Declarations:
    """The valid declarations: datasets, classifiers and exports by name; and what is left out.

    Attributes:
        datasets: name -> declaration.
        classifiers: name -> declaration.
        exports: name -> declaration of a dataset on the Hub.
        training: name -> declaration of an export for trainers.
        captions: name -> declaration.
        ratings: name -> declaration.
        duplicates: name -> declaration.
        files: name -> the file that declares it, for error messages.
        faults: all faults found so far.
        left_out: dataset -> the errors of its metrics that are left out.
    """

    def __init__(self) -> None:
        self.datasets: dict[str, Dataset] = {}
        self.classifiers: dict[str, ClassifierDeclaration] = {}
        self.exports: dict[str, HubDatasetDeclaration] = {}
        self.training: dict[str, ExportDeclaration] = {}
        self.captions: dict[str, CaptionsDeclaration] = {}
        self.ratings: dict[str, RatingsDeclaration] = {}
        self.duplicates: dict[str, DuplicatesDeclaration] = {}
        self.files: dict[str, YamlFile] = {}
        self.faults: list[Fault] = []
        self.left_out: dict[str, list[ArotError]] = {}

    def dataset(self, name: str) -> Dataset:
        """The dataset of this name.

        Raises:
            DeclarationError: it is not declared, or its declaration has a fault.
        """
        if name not in self.datasets:
            self._raise_fault(name)
            declared = ", ".join(sorted(self.datasets)) or "none"
            raise DeclarationError(
                f"no dataset '{name}';{did_you_mean(name, self.datasets) or f' declared: {declared}.'} "
                f"`arot new image-dataset {name} SOURCE` declares it"
            )
        return self.datasets[name]

    def export(self, name: str) -> HubDatasetDeclaration:
        """The export of this name.

        Raises:
            DeclarationError: it is not declared, or its declaration has a fault.
        """
        if name not in self.exports:
            self._raise_fault(name)
            raise DeclarationError(
                f"no export '{name}'.{did_you_mean(name, self.exports)} "
                f"`arot new hub-dataset {name} SUBSET OWNER/REPO` declares it"
            )
        return self.exports[name]

    def classifier(self, name: str) -> ClassifierDeclaration:
        """The classifier of this name.

        Raises:
            DeclarationError: it is not declared, or its declaration has a fault.
        """
        if name not in self.classifiers:
            self._raise_fault(name)
            raise DeclarationError(
                f"no classifier '{name}'.{did_you_mean(name, self.classifiers)} A defs.yaml of type "
                "arot_assets.components.Classifier declares it"
            )
        return self.classifiers[name]

    def rated(self, name: str) -> RatingsDeclaration:
        """The ratings of this name, or those of a dataset of this name that has only these.

        Raises:
            DeclarationError: they are not declared, their declaration has a fault, or the dataset has several.
        """
        if name in self.ratings:
            return self.ratings[name]
        self._raise_fault(name)
        found = [ratings for ratings in self.ratings.values() if ratings.dataset == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise DeclarationError(
                f"'{name}' has several ratings: {', '.join(r.name for r in found)}; name one of them"
            )
        raise DeclarationError(
            f"no ratings '{name}'.{did_you_mean(name, self.ratings)} A defs.yaml of type arot_assets.components.Ratings "
            "declares them"
        )

    def training_export(self, name: str) -> ExportDeclaration:
        """The export for trainers of this name.

        Raises:
            DeclarationError: it is not declared, or its declaration has a fault.
        """
        if name not in self.training:
            self._raise_fault(name)
            if name in self.exports:
                raise DeclarationError(f"'{name}' is a dataset on the Hub; `arot publish {name}` publishes it")
            raise DeclarationError(
                f"no export '{name}'.{did_you_mean(name, self.training)} `arot new export {name} SUBSET` declares it"
            )
        return self.training[name]

    def all(self) -> list[BaseModel]:
        """Every declaration."""
        kinds = (
            self.datasets,
            self.ratings,
            self.classifiers,
            self.captions,
            self.duplicates,
            self.exports,
            self.training,
        )
        return [declaration for kind in kinds for declaration in kind.values()]

    def check_metrics(self) -> None:
        """Import the file of every declared metric; a metric with a fault is left out of its datasets.

        A classifier that reads such a metric is left out too.
        """
        for name in sorted({name for dataset in self.datasets.values() for name in dataset.metrics}):
            try:
                get_metric(name)
            except MetricFileError as error:
                self._leave_metric_out(name, error)
        for name in self.datasets:
            self._check_inputs(name)

    def _check_inputs(self, dataset: str) -> None:
        """Leave out the metrics of stored columns that miss one of them, and then those that are made from these."""
        made: dict[str, tuple[str, ...]] = {
            **{c.name: (*c.tables, NEEDED_BY_CLASSIFIERS) for c in self.classifiers.values() if c.dataset == dataset},
            **{c.name: read_tables(c) for c in self.captions.values() if c.dataset == dataset},
        }
        declaration = self.datasets[dataset]
        metrics = {name: get_metric(name) for name in declaration.metrics}
        samples = samples_schema(declaration.medium).names
        if declaration.medium.tables:
            for metric in [name for name, one in metrics.items() if one.rows is not None]:
                text = (
                    f"metric '{metric}' is computed from stored columns, of which '{dataset}' has several rows a sample"
                )
                self._leave_metric_out(metric, _error(self.files[dataset], ("attributes", "metrics"), text), [dataset])
        for metric, text in dict(faults_of_inputs(dataset, metrics, samples, made)).items():
            error = _error(self.files[dataset], ("attributes", "metrics"), text)
            self._leave_metric_out(metric, error, [dataset])
        if len(self.datasets[dataset].metrics) < len(metrics):
            self._check_inputs(dataset)

    def check_subsets(self, subsets: Collection[str], broken: Mapping[str, ArotError]) -> None:
        """Compare the exports with the SQL project; exports whose model does not exist or has a fault are left out.

        Args:
            subsets: names of the models that are tagged ``subset``.
            broken: what is left out of the SQL project, and why.
        """
        wanted = [(n, e.subset, "subset") for n, e in self.exports.items()]
        wanted += [(n, s, "mix" if s in e.mix else "subset") for n, e in self.training.items() for s in e.parts]
        for name, subset, field in wanted:
            if subset in broken:
                self.leave_out(name, broken[subset])
            elif subset not in subsets:
                text = f"no SQL model '{subset}' is tagged `subset`.{did_you_mean(subset, subsets)}"
                self.leave_out(name, _error(self.files[name], ("attributes", field), text))

    def require_whole(self, dataset: str) -> None:
        """Raise an error if some of a dataset's metrics are left out.

        Raises:
            DeclarationError: one of its metrics is left out.
        """
        errors = self.left_out.get(dataset, [])
        if errors:
            raise DeclarationError("\n".join(map(str, errors)))

    def problems(self) -> list[str]:
        """One line per fault, however much is left out because of it."""
        return list(dict.fromkeys(str(fault.error) for fault in self.faults))

    def fault(self, name: str) -> ArotError | None:
        """Why a name is left out; None if it is not."""
        return next((fault.error for fault in self.faults if fault.name == name), None)

    def leave_out(self, name: str, error: ArotError) -> None:
        """Remove a declaration that has a fault."""
        self.faults.append(Fault(name, error))
        for kind in (
            self.datasets,
            self.ratings,
            self.classifiers,
            self.captions,
            self.duplicates,
            self.exports,
            self.training,
        ):
            kind.pop(name, None)

    def _leave_metric_out(self, metric: str, error: ArotError, datasets: Collection[str] | None = None) -> None:
        """Take a metric away from some datasets, by default from all."""
        self.faults.append(Fault(f"metric {metric}", error))
        for name, dataset in self.datasets.items():
            if metric in dataset.metrics and (datasets is None or name in datasets):
                rest = [m for m in dataset.metrics if m != metric]
                self.datasets[name] = dataset.model_copy(update={"metrics": rest})
                self.left_out.setdefault(name, []).append(error)
        for name, classifier in list(self.classifiers.items()):
            affected = datasets is None or classifier.dataset in datasets
            if affected and metric in (*classifier.tables, NEEDED_BY_CLASSIFIERS):
                self.leave_out(name, error)

    def _raise_fault(self, name: str) -> None:
        error = self.fault(name)
        if error is not None:
            raise DeclarationError(str(error)) from error


def load_declarations(folder: Path | None = None) -> Declarations:
    """Read every ``defs.yaml`` below a folder, by default the project's.

    Faults are: invalid YAML, an unknown type or key, an invalid value, a name that is declared twice, a classifier for
    something that is not declared, and two exports with the same target.
    """
    found = Declarations()
    folder = folder or defs_folder()
    for path in sorted(folder.rglob(MISNAMED)):
        if not (path.parent / FILE).exists():
            found.leave_out(path.parent.name, DeclarationError(f"{path}: is not read; rename it to {FILE}"))
    for path in sorted(folder.rglob(FILE)):
        try:
            file = read_yaml(path)
        except ProjectError as error:
            found.leave_out(path.parent.name, DeclarationError(str(error)))
            continue
        try:
            declaration = _parse(file)
        except DeclarationError as error:
            found.leave_out(_name_in(file), error)
            continue
        _add(found, declaration, file)
    for name, classifier in list(found.classifiers.items()):
        fault = _classifier_fault(classifier, found, found.files[name])
        if fault is not None:
            found.leave_out(name, fault)
    for name, ratings in list(found.ratings.items()):
        fault = _ratings_fault(ratings, found)
        if fault is not None:
            found.leave_out(name, fault)
    _check_captions(found)
    for name, duplicates in list(found.duplicates.items()):
        fault = _duplicates_fault(duplicates, found, found.files[name])
        if fault is not None:
            found.leave_out(name, fault)
    _check_exports(found)
    return found


def _add(found: Declarations, declaration: BaseModel, file: YamlFile) -> None:
    """Add a declaration, unless its name is taken: then it is not clear which one is meant, and both are left out."""
    name = str(declaration.name)  # type: ignore[attr-defined]
    other = found.files.setdefault(name, file)
    if other is not file:
        text = f"{file.path}:1: '{name}' is also declared in {other.path}; rename one of them"
        found.leave_out(name, DeclarationError(text))
    elif isinstance(declaration, Dataset):
        found.datasets[name] = declaration
    elif isinstance(declaration, ClassifierDeclaration):
        found.classifiers[name] = declaration
    elif isinstance(declaration, CaptionsDeclaration):
        found.captions[name] = declaration
    elif isinstance(declaration, RatingsDeclaration):
        found.ratings[name] = declaration
    elif isinstance(declaration, DuplicatesDeclaration):
        found.duplicates[name] = declaration
    elif isinstance(declaration, HubDatasetDeclaration):
        found.exports[name] = declaration
    elif isinstance(declaration, ExportDeclaration):
        found.training[name] = declaration


def _name_in(file: YamlFile) -> str:
    """The name in a faulty declaration, otherwise that of its folder."""
    attributes = file.value.get("attributes") if isinstance(file.value, dict) else None
    name = attributes.get("name") if isinstance(attributes, dict) else None
    return name if isinstance(name, str) and name else file.path.parent.name


def _classifier_fault(classifier: ClassifierDeclaration, found: Declarations, file: YamlFile) -> ArotError | None:
    """Why a classifier cannot use its dataset; the dataset's own fault if that is the reason."""
    dataset = found.datasets.get(classifier.dataset)
    if dataset is None:
        fault = found.fault(classifier.dataset)
        hint = did_you_mean(classifier.dataset, found.datasets)
        return fault or _error(file, ("attributes", "dataset"), f"no dataset '{classifier.dataset}' is declared.{hint}")
    if dataset.medium.tables:
        text = (
            f"'{dataset.name}' has several stills for each {dataset.medium.name}; classifiers take samples with one row"
        )
        return _error(file, ("attributes", "dataset"), text)
    classifier.set_files(dataset)
    for needed in (*classifier.tables, NEEDED_BY_CLASSIFIERS):
        if needed not in dataset.metrics:
            return _error(
                file,
                ("attributes", "inputs"),
                f"classifier '{classifier.name}' needs the metric '{needed}': add it to the metrics of '{dataset.name}'",
            )
    if classifier.name in known_metrics():
        return _error(file, ("attributes", "name"), f"'{classifier.name}' is the name of a metric; choose another name")
    return None


def _ratings_fault(ratings: RatingsDeclaration, found: Declarations) -> ArotError | None:
    """What keeps ratings from their dataset or their schema."""
    file = found.files[ratings.name]
    if ratings.dataset not in found.datasets:
        hint = did_you_mean(ratings.dataset, found.datasets)
        text = f"no dataset '{ratings.dataset}' is declared.{hint}"
        return found.fault(ratings.dataset) or _error(file, ("attributes", "dataset"), text)
    if ratings.name in RESERVED_SCHEMAS:
        return _error(file, ("attributes", "name"), f"'{ratings.name}' is a schema of its own; choose another name")
    rule = ratings.split
    if rule and rule.near_duplicate_distance is not None and PHASH not in found.datasets[ratings.dataset].metrics:
        text = f"near-duplicates need the metric '{PHASH}': add it to '{ratings.dataset}', or set near_duplicate_distance: null"
        return _error(file, ("attributes", "split"), text)
    return None


def _duplicates_fault(duplicates: DuplicatesDeclaration, found: Declarations, file: YamlFile) -> ArotError | None:
    """Why the duplicates of a dataset cannot be found; the dataset's own fault if that is the reason."""
    dataset = found.datasets.get(duplicates.dataset)
    if dataset is None:
        hint = did_you_mean(duplicates.dataset, found.datasets)
        text = f"no dataset '{duplicates.dataset}' is declared.{hint}"
        return found.fault(duplicates.dataset) or _error(file, ("attributes", "dataset"), text)
    for needed in (NEEDED_BY_CLASSIFIERS, *([duplicates.embedding] if duplicates.embedding else [])):
        if needed not in dataset.metrics:
            where = ("attributes", "embedding" if needed == duplicates.embedding else "dataset")
            return _error(
                file,
                where,
                f"'{duplicates.name}' needs the metric '{needed}': add it to the metrics of '{dataset.name}'",
            )
    others = [d.name for d in found.duplicates.values() if d.dataset == dataset.name and d.name != duplicates.name]
    if others:
        text = f"'{others[0]}' finds the duplicates of '{dataset.name}' too; keep one of them"
        return _error(file, ("attributes", "dataset"), text)
    return None


def _check_captions(found: Declarations) -> None:
    """Leave out captioners that lack something, and then those that read what these would have written."""
    faults = {name: fault for name, c in found.captions.items() if (fault := _caption_fault(c, found)) is not None}
    for name, fault in faults.items():
        found.leave_out(name, fault)
    if faults:
        _check_captions(found)


def _caption_fault(captions: CaptionsDeclaration, found: Declarations) -> ArotError | None:
    """What keeps a captioner from its dataset, its prompt or its table."""
    file, dataset = found.files[captions.name], found.datasets.get(captions.dataset)
    if dataset is None:
        hint = did_you_mean(captions.dataset, found.datasets)
        text = f"no dataset '{captions.dataset}' is declared.{hint}"
        return found.fault(captions.dataset) or _error(file, ("attributes", "dataset"), text)
    if dataset.medium.tables:
        text = f"'{dataset.name}' is of {dataset.medium.name}s, which are not captioned yet; caption images"
        return _error(file, ("attributes", "dataset"), text)
    if captions.name in known_metrics() or captions.name in RESERVED_TABLES:
        return _error(file, ("attributes", "name"), f"'{captions.name}' is another table's name; choose another")
    try:
        prompt = read_prompt(captions.prompt_path)
        caption_table(captions)
    except PromptError as error:
        return DeclarationError(str(error))
    except FieldsError as error:
        return _error(file, ("attributes", "fields"), str(error))
    others = {c.name: read_tables(c) for c in found.captions.values() if c.dataset == dataset.name}
    scores = [c.name for c in found.classifiers.values() if c.dataset == dataset.name]
    there = {*dataset.metrics, *scores, *others}
    for table in prompt.tables:
        if table not in there:
            hint = did_you_mean(table, there)
            return DeclarationError(
                f"{prompt.path}: it reads '{table}', which is no table of '{dataset.name}'.{hint} A prompt reads `sample`, and "
                f"tables: {', '.join(sorted(there - {captions.name}))}"
            )
    if captions.name in _reached(captions.name, others):
        return DeclarationError(
            f"{prompt.path}: '{captions.name}' would be made from itself; take one of the tables out"
        )
    return None


def read_tables(captions: CaptionsDeclaration) -> tuple[str, ...]:
    """The tables that a captioner's prompt reads; none of a prompt with a fault."""
    try:
        return read_prompt(captions.prompt_path).tables
    except PromptError:
        return ()


def _reached(name: str, reads: Mapping[str, Collection[str]]) -> set[str]:
    """What is read from a name, directly and by way of others."""
    found: set[str] = set()
    queue = list(reads.get(name, ()))
    while queue:
        table = queue.pop()
        if table not in found:
            found.add(table)
            queue += reads.get(table, ())
    return found


def _check_exports(found: Declarations) -> None:
    taken: dict[tuple[str, str], str] = {}
    for name, export in list(found.exports.items()):
        other = taken.setdefault((export.repo, export.revision or MAIN), name)
        if other != name:
            text = f"export '{other}' also publishes to '{export.repo}'; give each its own repo or revision"
            found.leave_out(name, _error(found.files[name], ("attributes", "repo"), text))


def _parse(file: YamlFile) -> BaseModel:
    """The declaration in a parsed file.

    Raises:
        DeclarationError: with the line of the faulty key or value.
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
        # a misspelt key is missing too; reporting the misspelling is more helpful
        first: Mapping[str, Any] = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
        where: Where = ("attributes", *first["loc"])
        key = str(first["loc"][-1]) if first["loc"] else "attributes"
        if first["type"] == "extra_forbidden":
            raise _error(
                file, where, f"unknown key '{key}'.{did_you_mean(key, _model_at(kind, first['loc']).model_fields)}"
            ) from error
        if first["type"] == "missing":
            description = _model_at(kind, first["loc"]).model_fields[key].description
            raise _error(file, where[:-1], f"'{key}' is missing: {description}") from error
        text = str(first["msg"]).removeprefix("Value error, ")
        raise _error(
            file, where, f"'{'.'.join(str(x) for x in first['loc'])}': {text} (got {shown(first['input'])})"
        ) from error


def shown(value: object) -> str:
    """A value as it may be shown in an error: URLs without passwords and signatures."""
    return repr(redacted(value) if isinstance(value, str) and "://" in value else value)


def _model_at(kind: type[BaseModel], where: Sequence[str | int]) -> type[BaseModel]:
    """What may be at a place in a declaration; the last part of the place is a key of it."""
    for part in where[:-1]:
        if isinstance(part, int):
            continue
        annotation: Any = kind.model_fields[part].annotation
        kind = next(a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel))
    return kind


def _error(file: YamlFile, where: Where, message: str) -> DeclarationError:
    return DeclarationError(str(file.error(where, message)))
