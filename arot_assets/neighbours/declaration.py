"""What a user declares about neighbours and clusters.

Belongs here: the fields of ``defs.yaml`` and their validation. Does not belong here: checks that need other rooms.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from arot_assets.names import Name, Owner

SAMPLE_TABLE = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"


class NeighboursDeclaration(BaseModel):
    """The neighbours and clusters of one dataset, by one of its embeddings."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="the table: `<dataset>.<name>`")]
    dataset: Annotated[Name, Field(description="the dataset")]
    embedding: Annotated[str, Field(description="the column of vectors, with its table: `clip_b16.vector`")]
    k: Annotated[int, Field(ge=1, le=1000, description="neighbours of each sample")] = 10
    metric: Annotated[
        Literal["cosine", "euclidean"],
        Field(description="distance: 1 - cosine similarity, or the length of the difference"),
    ] = "cosine"
    clusters: Annotated[int, Field(ge=0, le=10_000, description="clusters (k-means); 0 for none")] = 0
    refit: Annotated[
        float,
        Field(
            ge=0,
            description="share of new samples from which on clusters are found anew; before, they join the nearest",
        ),
    ] = 0.5
    owners: Annotated[list[Owner], Field(description="e-mail addresses or team:NAME, shown in the UI")] = []

    @field_validator("embedding")
    @classmethod
    def _is_column(cls, value: str) -> str:
        if re.fullmatch(SAMPLE_TABLE, value) is None:
            raise ValueError("write the column with its table, as in clip_b16.vector")
        return value

    @property
    def table(self) -> str:
        """The table that has the vectors."""
        return self.embedding.split(".")[0]

    @property
    def column(self) -> str:
        """The column of vectors."""
        return self.embedding.split(".")[1]
