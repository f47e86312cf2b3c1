"""YAML -> assets: one component class for each kind of declaration, so that ``dg`` knows and checks them.

Belongs here: calling the rooms' factories. Does not belong here: any logic, and the declared fields (the rooms'
``declaration.py``).
"""

from typing import Any

import dagster as dg
from pydantic import BaseModel

from arot_assets import declarations
from arot_assets.captions.assets import caption_assets
from arot_assets.captions.checks import caption_checks
from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.classifiers.assets import classifier_assets
from arot_assets.classifiers.checks import classifier_checks
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.clips.assets import clip_assets
from arot_assets.clips.checks import clip_checks
from arot_assets.datasets.assets import dataset_assets, shard_partitions
from arot_assets.datasets.checks import dataset_checks
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.duplicates.assets import duplicates_assets
from arot_assets.duplicates.checks import duplicates_checks
from arot_assets.duplicates.declaration import DuplicatesDeclaration
from arot_assets.exports.assets import export_assets, training_assets
from arot_assets.exports.checks import training_checks
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.export import ExportDeclaration
from arot_assets.metrics.assets import metric_assets
from arot_assets.metrics.checks import metric_checks
from arot_assets.ratings.assets import rating_assets
from arot_assets.ratings.checks import rating_checks
from arot_assets.ratings.declaration import RatingsDeclaration
from resources.defaults import default_resources


class ImageDataset(dg.Component):
    """A folder of images as a dataset: inventory, samples and metric tables."""

    def __init__(self, declaration: declarations.ImageDataset) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of ``attributes``."""
        return declarations.ImageDataset

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "ImageDataset":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets and checks of this dataset."""
        return definitions_of(self.declaration)


class VideoDataset(dg.Component):
    """A folder of films as a dataset: inventory, samples, and what one decode of each film fills."""

    def __init__(self, declaration: declarations.VideoDataset) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of ``attributes``."""
        return declarations.VideoDataset

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "VideoDataset":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets and checks of this dataset."""
        return definitions_of(self.declaration)


class Clips(dg.Component):
    """Clips of films as files, and as a dataset of their own."""

    def __init__(self, declaration: declarations.Clips) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of ``attributes``."""
        return declarations.Clips

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "Clips":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets and checks of these clips and their dataset."""
        return definitions_of(self.declaration)


class Classifier(dg.Component):
    """A small classifier on stored embeddings: labels, split, head, and its scores as a metric table."""

    def __init__(self, declaration: ClassifierDeclaration) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of ``attributes``."""
        return ClassifierDeclaration

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "Classifier":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets and checks of this classifier."""
        return definitions_of(self.declaration)


class HubDataset(dg.Component):
    """A subset as a dataset on the Hugging Face Hub, published on request."""

    def __init__(self, declaration: HubDatasetDeclaration) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of ``attributes``."""
        return HubDatasetDeclaration

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "HubDataset":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset of this export."""
        return definitions_of(self.declaration)


class Duplicates(dg.Component):
    """The duplicates of a dataset: who shows the same as whom, and which one stays."""

    def __init__(self, declaration: DuplicatesDeclaration) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of ``attributes``."""
        return DuplicatesDeclaration

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "Duplicates":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset and the checks of these duplicates."""
        return definitions_of(self.declaration)


class Export(dg.Component):
    """A subset as files that trainers load, with a configuration for each; exported on request."""

    def __init__(self, declaration: ExportDeclaration) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of ``attributes``."""
        return ExportDeclaration

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "Export":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset and the check of this export."""
        return definitions_of(self.declaration)


class Captions(dg.Component):
    """What a vision-language model answers about each sample of a dataset, as a table of that dataset."""

    def __init__(self, declaration: CaptionsDeclaration) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """What ``attributes`` may hold."""
        return CaptionsDeclaration

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "Captions":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets and checks of this captioner."""
        return definitions_of(self.declaration)


class Ratings(dg.Component):
    """What people say of the samples of a dataset, and what can be concluded from it."""

    def __init__(self, declaration: RatingsDeclaration) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """What ``attributes`` may hold."""
        return RatingsDeclaration

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "Ratings":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets and checks of these ratings."""
        return definitions_of(self.declaration)


def definitions_of(declaration: BaseModel) -> dg.Definitions:
    """The assets and checks of a declaration.

    Raises:
        TypeError: it is not a known kind of declaration.
    """
    if isinstance(declaration, DatasetDeclaration):
        made = clip_assets(declaration) if isinstance(declaration, declarations.Clips) else []
        checked = clip_checks(declaration) if isinstance(declaration, declarations.Clips) else []
        return dg.Definitions(
            assets=[*made, *dataset_assets(declaration), *metric_assets(declaration, default_resources().models)],
            asset_checks=[*checked, *dataset_checks(declaration), *metric_checks(declaration)],
        )
    if isinstance(declaration, ClassifierDeclaration):
        partitions = shard_partitions(declaration.dataset)
        return dg.Definitions(
            assets=classifier_assets(declaration, partitions), asset_checks=[*classifier_checks(declaration)]
        )
    if isinstance(declaration, CaptionsDeclaration):
        models = default_resources().models
        return dg.Definitions(assets=caption_assets(declaration, models), asset_checks=[*caption_checks(declaration)])
    if isinstance(declaration, RatingsDeclaration):
        return dg.Definitions(assets=rating_assets(declaration), asset_checks=[*rating_checks(declaration)])
    if isinstance(declaration, DuplicatesDeclaration):
        return dg.Definitions(assets=duplicates_assets(declaration), asset_checks=duplicates_checks(declaration))
    if isinstance(declaration, HubDatasetDeclaration):
        return dg.Definitions(assets=export_assets(declaration))
    if isinstance(declaration, ExportDeclaration):
        return dg.Definitions(assets=training_assets(declaration), asset_checks=training_checks(declaration))
    raise TypeError(f"unknown kind of declaration: {type(declaration).__name__}")
