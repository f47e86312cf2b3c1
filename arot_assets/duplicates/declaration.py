"""What a user declares about duplicates of a dataset.

Belongs here: the fields of ``defs.yaml`` and their validation. Does not belong here: checks that need other rooms.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from arot_assets.names import Name, Owner

MODEL = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Leak(BaseModel):
    """Two subsets that must not share a picture."""

    model_config = ConfigDict(extra="forbid")

    training: Annotated[str, Field(pattern=MODEL, description="the SQL model that is trained on")]
    evaluation: Annotated[str, Field(pattern=MODEL, description="the SQL model that is evaluated on")]


class DuplicatesDeclaration(BaseModel):
    """The duplicates of one dataset."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="of this declaration")]
    dataset: Annotated[Name, Field(description="the dataset; its metric `phash` is needed")]
    bits: Annotated[int, Field(ge=0, le=15, description="bits of the perceptual hash that may differ")] = 6
    embedding: Annotated[
        str | None, Field(description="an embedding of the dataset, to find crops and what shows the same")
    ] = None
    cosine: Annotated[float, Field(gt=0, le=1, description="least cosine similarity of embeddings")] = 0.97
    keep: Annotated[
        str,
        Field(description="SQL order over the columns of `wide`: the first sample of a group stays"),
    ] = "width * height desc, format = 'PNG' desc, bytes desc, uri"
    keep_by: Annotated[
        str | None,
        Field(
            pattern=MODEL,
            description="a SQL model with a row for each sample, `sample_id` and `preference`: the least of a group stays, "
            "before `keep` is asked",
        ),
    ] = None
    leaks: Annotated[list[Leak], Field(description="pairs of subsets that must not share a picture")] = []
    owners: Annotated[list[Owner], Field(description="e-mail addresses or team:NAME, shown in the UI")] = []
