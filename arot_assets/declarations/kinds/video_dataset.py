"""A dataset of films."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from arot_assets.declarations.dataset import Dataset, DatasetKind
from arot_assets.media.file import MAX_HOURS, Limits
from arot_assets.media.medium import Medium
from arot_assets.media.video.medium import VIDEO

SHOTS = {"on": "transnetv2", "gated": "transnetv2_gated"}
"""What ``shots`` says -> the table of scores."""


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
    shots: Annotated[
        Literal["on", "gated", "off"],
        Field(
            description="a table of TransNetV2, which finds dissolves that the content rule does not: `on` (`transnetv2`), or "
            "`gated`, only where the picture changes (`transnetv2_gated`). On a CPU it costs several times the rest of the decode"
        ),
    ] = "off"

    @model_validator(mode="before")
    @classmethod
    def _with_table_of_shots(cls, said: Any) -> Any:
        """YAML reads ``on`` and ``off`` as true and false. The table is a metric like any other."""
        if not isinstance(said, dict) or "shots" not in said:
            return said
        shots = said["shots"]
        if isinstance(shots, bool):
            shots = "on" if shots else "off"
        table, metrics = SHOTS.get(str(shots)), said.get("metrics", [])
        wanted = [*metrics, table] if table and isinstance(metrics, list) and table not in metrics else metrics
        return {**said, "shots": shots, "metrics": wanted}

    @property
    def limits(self) -> Limits:
        """The limits for a film."""
        return Limits(self.max_megapixels, self.max_hours, self.salvage)


class VideoDatasets(DatasetKind[VideoDataset]):
    """A folder of films as a dataset: inventory, samples, and what one decode of each film fills."""

    name = "VideoDataset"
    model = VideoDataset


KIND = VideoDatasets()
