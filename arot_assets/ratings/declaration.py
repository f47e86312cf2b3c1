"""What a user declares about ratings.

Belongs here: the fields of ``defs.yaml`` and their validation. Does not belong here: reading YAML, reading sources
(``sources/``), and checks that need other rooms (``arot_assets.declarations``).
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from arot_assets.names import Name, Owner, ServerUrl
from resources.root import project_root
from resources.storage.objects import is_local

Kind = Literal["score", "category", "labels", "pair", "ranking"]
SCORE, CATEGORY, LABELS, PAIR, RANKING = "score", "category", "labels", "pair", "ranking"
SKIP = "skip"
"""A rater saw the sample and said nothing: no declared kind, only an event's."""
By = Literal["id", "sha256", "uri", "path"]


class ScaleRule(BaseModel):
    """The scale on which scores are given. It is declared, never guessed from the values seen."""

    model_config = ConfigDict(extra="forbid")

    low: Annotated[float, Field(description="the lowest score there is")] = 1.0
    high: Annotated[float, Field(description="the highest score there is")] = 5.0

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


class SourceRule(BaseModel):
    """Where some of the ratings come from: one file, folder or server, and what its columns mean."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="of the source, in the events")]
    type: Annotated[
        Literal["table", "folder", "lenslet", "lenslet_ranking", "label_studio"],
        Field(
            description="table: CSV, Parquet or JSONL; folder: a class a folder; lenslet: its labels; lenslet_ranking: "
            "results of `lenslet rank`; label_studio: an export, or a server"
        ),
    ] = "table"
    file: Annotated[str, Field(description="path below the project, or any address that storage reads")] = ""
    url: Annotated[ServerUrl, Field(pattern=r"^(https?://\S+)?$", description="of a Label Studio server")] = ""
    project: Annotated[int | None, Field(ge=1, description="the project's number on that server")] = None
    key_variable: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_]*$", description="environment variable that holds the server's token")
    ] = "LABEL_STUDIO_KEY"
    kind: Annotated[Kind, Field(description="what a row says")] = "score"
    by: Annotated[
        By,
        Field(
            description="what names a sample: its id, its SHA-256, its address, or its path below the dataset's source"
        ),
    ] = "id"
    item: Annotated[str, Field(min_length=1, description="column that names the sample")] = "sample_id"
    value: Annotated[str, Field(min_length=1, description="column of the score, class, or labels")] = "value"
    left: Annotated[str, Field(min_length=1, description="column of a pair's first sample")] = "left"
    right: Annotated[str, Field(min_length=1, description="column of a pair's second sample")] = "right"
    winner: Annotated[
        str, Field(min_length=1, description="column that says left, right, tie, or names the sample")
    ] = "winner"
    group: Annotated[str, Field(min_length=1, description="column that rows of one ranking share")] = "group"
    rank: Annotated[str, Field(min_length=1, description="column of the rank; 1 is the best, equal ranks are ties")] = (
        "rank"
    )
    rater: Annotated[str, Field(description="column of the rater")] = ""
    rater_name: Annotated[str, Field(description="or the rater of everything in this source")] = ""
    raters: Annotated[list[str], Field(description="or columns of values, one for each rater (wide form)")] = []
    time: Annotated[str, Field(description="column of the time")] = ""
    timezone: Annotated[str, Field(description="of times that name none, e.g. Europe/Berlin")] = ""
    duration: Annotated[str, Field(description="column of the seconds that a rating took")] = ""
    session: Annotated[str, Field(description="column of the session")] = ""
    row_id: Annotated[
        str, Field(description="column that identifies a rating, so that a changed row is a correction")
    ] = ""
    again: Annotated[
        Literal["repeat", "correction"],
        Field(description="what a rater's second row about the same sample is, without `row_id`"),
    ] = "repeat"
    separator: Annotated[str, Field(min_length=1, description="between several labels in one text")] = "|"
    scale: Annotated[ScaleRule | None, Field(description="of these scores, if it is not that of the ratings")] = None
    scales: Annotated[
        dict[str, ScaleRule], Field(description="rater -> scale, of those who use another one in the same file")
    ] = {}

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone:
            try:
                ZoneInfo(zone)
            except (KeyError, ValueError, OSError) as error:
                raise ValueError("no such time zone; names are like Europe/Berlin or UTC") from error
        return zone

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.type == "label_studio" and self.url:
            if self.project is None or self.file:
                raise ValueError("a server needs `url` and `project`, and no `file`")
        elif self.url or self.project is not None:
            raise ValueError("`url` and `project` are of a label_studio server; everything else has a `file`")
        elif not self.file:
            raise ValueError("`file` is missing: where are the ratings?")
        if sum(map(bool, (self.rater, self.rater_name, self.raters))) > 1:
            raise ValueError("give one of rater (a column), rater_name (a name) and raters (columns)")
        if self.raters and self.kind not in (SCORE, CATEGORY, LABELS):
            raise ValueError("columns for each rater are for scores, classes and labels")
        return self

    @property
    def address(self) -> str:
        """Where its file is."""
        return str(project_root() / self.file.removeprefix("file://")) if is_local(self.file) else self.file


class Floors(BaseModel):
    """What ratings must reach to be trusted; below it, a check fails."""

    model_config = ConfigDict(extra="forbid")

    alpha: Annotated[float | None, Field(ge=-1, le=1, description="Krippendorff's alpha")] = None
    self_consistency: Annotated[
        float | None, Field(ge=-1, le=1, description="alpha of each rater with themselves, over repeats")
    ] = None
    matched: Annotated[float | None, Field(ge=0, le=1, description="share of the ratings that belong to a sample")] = (
        None
    )
    ratings: Annotated[int | None, Field(ge=1, description="ratings of a rated sample, at the median")] = None


class RatingSplitRule(BaseModel):
    """How rated samples are divided into train, val and test."""

    model_config = ConfigDict(extra="forbid")

    val: Annotated[float, Field(ge=0, lt=1, description="share of the samples")] = 0.15
    test: Annotated[float, Field(gt=0, lt=1, description="share of the samples")] = 0.15
    seed: Annotated[int, Field(description="another one is another division")] = 0
    near_duplicate_distance: Annotated[
        int | None, Field(ge=0, le=15, description="bits of the perceptual hash; null: near-duplicates may be divided")
    ] = 8
    groups: Annotated[
        list[str],
        Field(
            description="queries that return sample_id and a group: an artist, a source, a video; groups stay together"
        ),
    ] = []
    evaluation_sets: Annotated[
        dict[str, str],
        Field(
            description="name -> query that returns the sample_id of samples that nothing may train on, no classifier either"
        ),
    ] = {}

    @model_validator(mode="after")
    def _leaves_train(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test is {self.val + self.test:g}; that leaves nothing to train on")
        return self


class QueueRule(BaseModel):
    """What is worth rating next: parts of a queue, by reason; those that lack what they need are left out."""

    model_config = ConfigDict(extra="forbid")

    uncertain: Annotated[float, Field(ge=0, description="rated samples of large standard error or disagreement")] = 0.3
    models_disagree: Annotated[float, Field(ge=0, description="samples on which `columns` differ most in rank")] = 0.2
    different: Annotated[float, Field(ge=0, description="samples furthest from all that are rated, by `embedding`")] = (
        0.2
    )
    rare: Annotated[float, Field(ge=0, description="samples of slices with the fewest ratings")] = 0.1
    label_errors: Annotated[
        float, Field(ge=0, description="rated samples whose label is likely wrong, by `embedding`")
    ] = 0.1
    random: Annotated[float, Field(gt=0, description="drawn among the unrated, as a control")] = 0.2
    repeats: Annotated[float, Field(ge=0, description="rated samples that are shown again, for consistency")] = 0.1
    columns: Annotated[
        list[str], Field(description="columns of <dataset>.wide that should agree, such as two scores")
    ] = []
    embedding: Annotated[str, Field(description="table of vectors, or table.column")] = ""
    slices: Annotated[str, Field(description="query that returns sample_id and the slice that it belongs to")] = ""


class RatingsDeclaration(BaseModel):
    """What people say of the samples of a dataset: scores, classes, labels, pairs, rankings."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[
        Name, Field(description="the ratings are ratings.<name>; <name>.scale and others are made from them")
    ]
    dataset: Annotated[Name, Field(description="the dataset whose samples are rated")]
    sources: Annotated[list[SourceRule], Field(description="where ratings come from; `arot review` adds its own")] = []
    scale: ScaleRule = ScaleRule()
    level: Annotated[
        Literal["ordinal", "interval"], Field(description="whether steps between scores count as equal")
    ] = "ordinal"
    categories: Annotated[
        list[str] | None, Field(description="the classes and labels there are; others are invalid. Default: any")
    ] = None
    fastest_seconds: Annotated[float, Field(ge=0, description="a rater whose median is below it is a speeder")] = 0.7
    same_share: Annotated[
        float, Field(gt=0, le=1, description="a rater whose most frequent value has this share is a straight-liner")
    ] = 0.9
    floors: Floors = Floors()
    split: Annotated[
        RatingSplitRule | None, Field(description="divide the rated samples into train, val and test: <name>.split")
    ] = None
    queue: QueueRule = QueueRule()
    manual: Annotated[
        list[Literal["ratings", "trust", "split"]],
        Field(
            description="what no sensor or condition starts, only `arot run` or the UI: taking ratings in, the scale with its "
            "labels and raters, the split"
        ),
    ] = []
    description: Annotated[str, Field(description="what is rated, for the UI")] = ""
    owners: Annotated[list[Owner], Field(description="e-mail addresses or team:NAME, shown in the UI")] = []
    _elsewhere: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("sources")
    @classmethod
    def _named_once(cls, sources: list[SourceRule]) -> list[SourceRule]:
        names = [source.name for source in sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources have one name; events are told apart by it")
        return sources

    def set_evaluation_sets(self, sets: Mapping[str, str]) -> None:
        """Tell what other declarations keep from training: name -> query."""
        self._elsewhere = dict(sets)

    def every_evaluation_set(self) -> dict[str, str]:
        """The evaluation sets of this declaration, and those of the others that are declared."""
        return {**self._elsewhere, **(self.split.evaluation_sets if self.split is not None else {})}

    def scale_of(self, source: SourceRule) -> ScaleRule:
        """The scale on which the scores of a source are given."""
        return source.scale or self.scale
