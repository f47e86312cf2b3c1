"""What a user declares about a dataset, of whichever medium.

Belongs here: the fields of ``defs.yaml`` and their checks. Does not belong here: reading YAML, and checks that need other
rooms (``arot_assets.declarations``).
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from arot_assets.media.medium import MAX_MEGAPIXELS, Limits, Medium
from arot_assets.names import Name, Owner
from resources.root import project_root
from resources.storage.http.rules import carries_secret
from resources.storage.hub.address import is_hub, parse
from resources.storage.objects import StorageError, absolute, is_local, scheme_of

SHARD_SIZE = 5000
RESERVED_NAMES = (
    "main",
    "memory",
    "models",
    "information_schema",
    "pg_catalog",
    "temp",
    "system",
    "catalog",
    "classifiers",
    "exports",
    "problems",
)


LIST_EXTENSIONS = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")
"""A source that ends so is a list of URLs."""


class UrlList(BaseModel):
    """How a list of URLs is read, and its objects are fetched."""

    model_config = ConfigDict(extra="forbid")

    column: Annotated[str, Field(description="the column of the URLs; default url, uri, image_url or the like")] = ""
    caption_column: Annotated[str, Field(description="the column of captions; default caption, text or alt")] = ""
    tags_column: Annotated[str, Field(description="the column of tags; default tags")] = ""
    header: Annotated[
        list[str], Field(description="the columns of a CSV or TSV that does not name them in its first line, in order")
    ] = []
    parts: Annotated[
        bool, Field(description="the source is a folder, and the files in it are the parts of the list")
    ] = False
    revalidate: Annotated[
        bool, Field(description="each inventory asks the servers whether they have other images at these addresses")
    ] = False
    honour_opt_out: Annotated[
        bool, Field(description="do not take what `X-Robots-Tag: noai` or `noimageai` of its server forbids")
    ] = True
    allow_private: Annotated[bool, Field(description="reach private, loopback and link-local addresses too")] = False
    per_host: Annotated[int, Field(ge=1, description="requests that one host answers at the same time")] = 8
    max_megabytes: Annotated[float, Field(gt=0, description="larger objects are not taken")] = 200.0
    attempts: Annotated[int, Field(ge=1, description="tries in a row that bring nothing, before one is given up")] = 5
    total_seconds: Annotated[float, Field(gt=0, description="for one object, without the waiting between tries")] = (
        300.0
    )
    read_seconds: Annotated[float, Field(gt=0, description="silence of a server that is put up with")] = 30.0


class Archives(BaseModel):
    """How tar, zip and Parquet files of a source are opened: what lies in them are the objects."""

    model_config = ConfigDict(extra="forbid")

    include: Annotated[
        list[str],
        Field(description="only archives whose path below the source matches one of these, e.g. data/train-*"),
    ] = []
    picture_column: Annotated[
        str, Field(description="the column of images in Parquet files; default those that are marked, or called so")
    ] = ""
    caption_column: Annotated[str, Field(description="the column of captions; default caption, text or alt")] = ""
    tags_column: Annotated[str, Field(description="the column of tags; default tags")] = ""


class DatasetDeclaration(BaseModel):
    """A dataset: where its files are, and what is measured. A subclass for each medium names it.

    Attributes:
        medium: what its files are.
    """

    medium: ClassVar[Medium]

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="schema in SQL and prefix of the assets, e.g. demo")]
    source: Annotated[
        str,
        Field(
            min_length=1,
            description="a folder, s3://… or hf://… of its files, or a list of URLs; relative paths start at the project",
        ),
    ]
    metrics: Annotated[list[str], Field(description="metric tables to keep")] = [
        "cv2",
        "phash",
    ]
    description: Annotated[str, Field(description="what these files are, for the UI")] = ""
    owners: Annotated[list[Owner], Field(description="e-mail addresses or team:NAME, shown in the UI")] = []
    shard_size: Annotated[int, Field(ge=1, description="objects in a shard, which is one Dagster partition")] = (
        SHARD_SIZE
    )
    max_megapixels: Annotated[
        float, Field(gt=0, description="limit of width x height in millions of pixels; judged by the header of a file")
    ] = MAX_MEGAPIXELS
    settle_seconds: Annotated[
        float, Field(ge=0, description="a file younger than this is looked at twice: it may still be growing")
    ] = 2.0
    urls: Annotated[UrlList | None, Field(description="how a list of URLs is read and fetched")] = None
    archives: Annotated[
        Archives | None,
        Field(description="open tar, zip and Parquet files; `{}` for folders and S3, always so for hf://"),
    ] = None
    may_vanish: Annotated[
        float,
        Field(ge=0, le=1, description="share of the objects that one listing may miss; if more are, nothing changes"),
    ] = 0.5
    allow_empty: Annotated[bool, Field(description="accept that every object vanished from the source")] = False

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(
                f"{name!r} means something else in the store or in DuckDB; '{name}_{cls.medium.name}s' would do"
            )
        return name

    @field_validator("source")
    @classmethod
    def _without_secret(cls, source: str) -> str:
        if source.startswith(("http://", "https://")) and carries_secret(source):
            raise ValueError("a password or signature in the address would end up in tables and logs")
        if is_hub(source):
            try:
                parse(source)
            except StorageError as error:
                raise ValueError(str(error)) from error
        return source

    @field_validator("archives", mode="before")
    @classmethod
    def _named_is_on(cls, archives: object) -> object:
        return {} if archives is None else archives  # `archives:` with nothing behind it

    @model_validator(mode="after")
    def _urls_of_a_list(self) -> Self:
        if self.urls is not None and not self.is_url_list:
            kinds = ", ".join(LIST_EXTENSIONS)
            raise ValueError(
                f"`urls` is for a source that is a list: a file {kinds}, or with `parts: true` a folder of such"
            )
        return self

    @property
    def limits(self) -> Limits:
        """What a file may ask for."""
        return Limits(self.max_megapixels)

    @property
    def is_url_list(self) -> bool:
        """Whether the source is a list of URLs, in one file or in parts; not a folder of the files themselves."""
        in_parts = self.urls is not None and self.urls.parts
        return not self.opens_archives and (in_parts or self.source.rstrip("/").lower().endswith(LIST_EXTENSIONS))

    @property
    def on_hub(self) -> bool:
        """Whether the source is a repository of the Hugging Face Hub."""
        return is_hub(self.source)

    @property
    def opens_archives(self) -> bool:
        """Whether tar and Parquet files are taken for what lies in them."""
        return self.archives is not None or self.on_hub

    @property
    def root(self) -> str:
        """The source as a URI, just as listings write it (``absolute``): relative folders are meant from the project, and one
        of the Hub is without its revision.
        """
        if self.on_hub:
            return replace(parse(self.source), revision=None).uri
        if is_local(self.source):
            return absolute(str(project_root() / Path(self.source.removeprefix("file://")).expanduser()))
        return self.source.rstrip("/")

    @property
    def on_s3(self) -> bool:
        """Whether the source is a folder of S3."""
        return scheme_of(self.source) == "s3" and not self.is_url_list
