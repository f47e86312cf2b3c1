"""What a user declares about a dataset of any medium.

Belongs here: the fields of ``defs.yaml`` and their validation. Does not belong here: reading YAML, and checks that need
other rooms (``arot_assets.declarations``).
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from arot_assets.media.file import MAX_MEGAPIXELS, Limits
from arot_assets.media.medium import Medium
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
"""A source with one of these extensions is a list of URLs."""


class UrlList(BaseModel):
    """How a list of URLs is read, and its objects are downloaded."""

    model_config = ConfigDict(extra="forbid")

    column: Annotated[str, Field(description="the column of the URLs; default url, uri, image_url or the like")] = ""
    caption_column: Annotated[str, Field(description="the column of captions; default caption, text, alt, txt …")] = ""
    tags_column: Annotated[str, Field(description="the column of tags; default tags")] = ""
    header: Annotated[list[str], Field(description="the columns of a CSV or TSV without a header line, in order")] = []
    parts: Annotated[
        bool, Field(description="the source is a folder, and the files in it are the parts of the list")
    ] = False
    revalidate: Annotated[
        bool, Field(description="each inventory asks the servers whether the images at these addresses have changed")
    ] = False
    honour_opt_out: Annotated[
        bool,
        Field(description="do not download images whose server forbids it with `X-Robots-Tag: noai` or `noimageai`"),
    ] = True
    allow_private: Annotated[bool, Field(description="allow private, loopback and link-local addresses")] = False
    per_host: Annotated[int, Field(ge=1, description="concurrent requests to one host")] = 8
    max_megabytes: Annotated[float, Field(gt=0, description="larger objects are not downloaded")] = 200.0
    attempts: Annotated[int, Field(ge=1, description="consecutive attempts without progress before giving up")] = 5
    total_seconds: Annotated[float, Field(gt=0, description="for one object, excluding the waits between attempts")] = (
        300.0
    )
    read_seconds: Annotated[float, Field(gt=0, description="read timeout: how long the server may be silent")] = 30.0


class Archives(BaseModel):
    """How tar, zip and Parquet files of a source are opened: their contents are the objects."""

    model_config = ConfigDict(extra="forbid")

    include: Annotated[
        list[str],
        Field(description="only archives whose path below the source matches one of these, e.g. data/train-*"),
    ] = []
    picture_column: Annotated[
        str, Field(description="the column of images in Parquet files; default those marked or named as images")
    ] = ""
    caption_column: Annotated[str, Field(description="the column of captions; default caption, text, alt, txt …")] = ""
    tags_column: Annotated[str, Field(description="the column of tags; default tags")] = ""


class DatasetDeclaration(BaseModel):
    """A dataset: where its files are, and what is measured. There is a subclass for each medium.

    Attributes:
        medium: the kind of its files.
    """

    medium: ClassVar[Medium]

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="schema in SQL and prefix of the assets, e.g. demo")]
    source: Annotated[
        str,
        Field(
            min_length=1,
            description="a folder, s3://… or hf://… of its files, or a list of URLs; relative paths start at the project folder",
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
    shard_gigabytes: Annotated[
        float | None, Field(gt=0, description="a shard ends before it has more; None for no such limit")
    ] = None
    max_megapixels: Annotated[
        float, Field(gt=0, description="limit of width x height in millions of pixels, checked in the header of a file")
    ] = MAX_MEGAPIXELS
    settle_seconds: Annotated[
        float,
        Field(ge=0, description="a file modified less than this long ago is checked twice: it may still be growing"),
    ] = 2.0
    urls: Annotated[UrlList | None, Field(description="how a list of URLs is read and fetched")] = None
    archives: Annotated[
        Archives | None,
        Field(description="open tar, zip and Parquet files; `{}` for folders and S3, always enabled for hf://"),
    ] = None
    may_vanish: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="fraction of the objects that may vanish in one listing; if more do, nothing is changed",
        ),
    ] = 0.5
    allow_empty: Annotated[bool, Field(description="accept that every object has vanished from the source")] = False

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(
                f"{name!r} has a different meaning in the store or in DuckDB; use for example '{name}_{cls.medium.name}s'"
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
        return {} if archives is None else archives  # `archives:` without a value

    @model_validator(mode="after")
    def _urls_of_a_list(self) -> Self:
        if self.urls is not None and not self.is_url_list:
            kinds = ", ".join(LIST_EXTENSIONS)
            raise ValueError(
                f"`urls` requires a source that is a list: a file {kinds}, or with `parts: true` a folder of such files"
            )
        return self

    @property
    def limits(self) -> Limits:
        """The limits for a file."""
        return Limits(self.max_megapixels)

    @property
    def made_from(self) -> tuple[tuple[str, ...], ...]:
        """The keys of assets that write the files of its source; empty for files that come from elsewhere."""
        return ()

    @property
    def all_tables(self) -> list[str]:
        """The tables with a row for each sample, or for parts of it: those of the medium, and the metrics."""
        return [*(table.name for table in self.medium.tables), *self.metrics]

    @property
    def is_url_list(self) -> bool:
        """Whether the source is a list of URLs, in one file or in parts, rather than a folder of the files
        themselves."""
        in_parts = self.urls is not None and self.urls.parts
        return not self.opens_archives and (in_parts or self.source.rstrip("/").lower().endswith(LIST_EXTENSIONS))

    @property
    def on_hub(self) -> bool:
        """Whether the source is a repository on the Hugging Face Hub."""
        return is_hub(self.source)

    @property
    def opens_archives(self) -> bool:
        """Whether archives are opened and their members become the objects."""
        return self.archives is not None or self.on_hub

    @property
    def root(self) -> str:
        """The source as a URI in the form of listings (``absolute``): relative folders are based on the project folder,
        and an address on the Hub is without its revision.
        """
        if self.on_hub:
            return replace(parse(self.source), revision=None).uri
        if is_local(self.source):
            return absolute(str(project_root() / Path(self.source.removeprefix("file://")).expanduser()))
        return self.source.rstrip("/")

    @property
    def seen_by_all(self) -> tuple[str, ...]:
        """What each machine that reads the files must see for itself: the folder or the prefix; nothing for URLs and the Hub."""
        return () if self.is_url_list or self.on_hub else (self.root,)

    @property
    def on_s3(self) -> bool:
        """Whether the source is a folder on S3."""
        return scheme_of(self.source) == "s3" and not self.is_url_list
