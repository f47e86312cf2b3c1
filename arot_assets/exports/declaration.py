"""What a user declares about a subset to publish.

Belongs here: the fields of ``defs.yaml`` and their validation. Does not belong here: reading YAML, and checks that need
other rooms (does the subset exist?).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from arot_assets.names import Name, Owner
from resources.storage.hub.address import HubAddress, parse
from resources.storage.objects import StorageError

MODEL = r"^[A-Za-z_][A-Za-z0-9_]*$"
DATASET = "dataset"

LICENSES = """
afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0 h-research intel-research isc lgpl lgpl-2.1
lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1
open-mdw openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib
""".split()
"""Identifiers that a card of the Hub may name."""


class HubDatasetDeclaration(BaseModel):
    """A subset as a dataset on the Hugging Face Hub."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="the asset is exports/<name>")]
    subset: Annotated[str, Field(pattern=MODEL, description="a SQL model tagged `subset`")]
    repo: Annotated[str, Field(description="owner/name on the Hub; created if it does not exist")]
    license: Annotated[
        str, Field(description="identifier of the licence, as the Hub writes it: cc-by-4.0, mit, other …")
    ]
    layout: Annotated[
        Literal["parquet", "folder"], Field(description="parquet, or folder: the original files and metadata.parquet")
    ] = "parquet"
    columns: Annotated[
        list[str] | None,
        Field(description="columns besides the file itself; default: all of the subset, caption and tags"),
    ] = None
    split: Annotated[Name, Field(description="the name of the split")] = "train"
    private: Annotated[bool, Field(description="whether a newly created repository is private")] = True
    revision: Annotated[str | None, Field(description="a branch; created if it does not exist. Default: main")] = None
    shard_megabytes: Annotated[float, Field(gt=0, le=5000, description="size of a parquet file")] = 500.0
    on_missing: Annotated[
        Literal["stop", "skip"],
        Field(description="if a file can no longer be read: publish nothing, or leave it out and count it"),
    ] = "stop"
    description: Annotated[str, Field(description="what this dataset is, for the card and the UI")] = ""
    owners: Annotated[list[Owner], Field(description="e-mail addresses or team:NAME, shown in the UI")] = []

    @field_validator("repo")
    @classmethod
    def _names_a_repository(cls, repo: str) -> str:
        try:
            found = parse(f"hf://datasets/{repo}")
        except StorageError as error:
            raise ValueError("write owner/name, as in the address of the repository's page on the Hub") from error
        if found.repo != repo:
            raise ValueError("write only owner/name; a branch goes into the field `revision`")
        return repo

    @field_validator("license")
    @classmethod
    def _known_license(cls, name: str) -> str:
        if name not in LICENSES:
            from difflib import get_close_matches

            close = get_close_matches(name.lower(), LICENSES, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise ValueError(
                f"the Hub does not know this licence; {hint}use `other` for any licence that it does not know"
            )
        return name

    @field_validator("revision")
    @classmethod
    def _is_a_branch(cls, revision: str | None) -> str | None:
        if revision is not None and (not revision or HubAddress(DATASET, "a/b", revision).commit):
            raise ValueError("name a branch; a commit cannot be changed")
        return revision

    @property
    def address(self) -> HubAddress:
        """The repository and its branch."""
        return HubAddress(DATASET, self.repo, self.revision)
