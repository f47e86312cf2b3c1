"""A dataset of films."""

from typing import Annotated, ClassVar

from pydantic import Field

from arot_assets.declarations.dataset import Dataset, DatasetKind
from arot_assets.media.medium import MAX_HOURS, Limits, Medium
from arot_assets.media.video.medium import VIDEO


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


class VideoDatasets(DatasetKind[VideoDataset]):
    """A folder of films as a dataset: inventory, samples, and what one decode of each film fills."""

    name = "VideoDataset"
    model = VideoDataset


KIND = VideoDatasets()
