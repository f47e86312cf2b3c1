"""A dataset of images."""

from typing import ClassVar

from arot_assets.declarations.dataset import Dataset, DatasetKind
from arot_assets.media.image.medium import IMAGE
from arot_assets.media.medium import Medium


class ImageDataset(Dataset):
    """A dataset of images."""

    medium: ClassVar[Medium] = IMAGE


class ImageDatasets(DatasetKind[ImageDataset]):
    """A folder of images as a dataset: inventory, samples and metric tables."""

    name = "ImageDataset"
    model = ImageDataset


KIND = ImageDatasets()
