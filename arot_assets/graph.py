"""The graph of steps for everything declared, which `arot run` and `arot status` walk.

Belongs here: which room provides the steps of which kind of declaration; ``components.py`` does the same for Dagster's
assets. Does not belong here: the steps (the rooms' ``steps.py``), what a graph is (``steps.py``).
"""

from collections.abc import Iterator

from pydantic import BaseModel

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.steps import caption_steps
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.steps import classifier_steps
from arot_assets.clips.steps import clip_steps
from arot_assets.datasets.steps import dataset_steps
from arot_assets.declarations import Clips, Dataset, Declarations
from arot_assets.duplicates.declaration import DuplicatesDeclaration
from arot_assets.duplicates.steps import duplicates_steps
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.steps import export_steps
from arot_assets.metrics.steps import metric_steps
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.steps import rating_steps
from arot_assets.steps import Graph, Step
from arot_assets.subsets.project import Project
from arot_assets.subsets.steps import model_steps, source_tests


def project_graph(declared: Declarations, project: Project) -> Graph:
    """The steps of all declarations and SQL models."""
    steps = [*(step for d in declared.all() for step in steps_of(d)), *model_steps(project)]
    return Graph(steps, source_tests(project))


def steps_of(declaration: BaseModel) -> Iterator[Step]:
    """The steps of a declaration.

    Raises:
        TypeError: it is not a known kind of declaration.
    """
    if isinstance(declaration, Clips):
        yield from clip_steps(declaration)
    if isinstance(declaration, Dataset):
        yield from dataset_steps(declaration)
        yield from metric_steps(declaration)
    elif isinstance(declaration, ClassifierDeclaration):
        yield from classifier_steps(declaration)
    elif isinstance(declaration, CaptionsDeclaration):
        yield from caption_steps(declaration)
    elif isinstance(declaration, RatingsDeclaration):
        yield from rating_steps(declaration)
    elif isinstance(declaration, DuplicatesDeclaration):
        yield from duplicates_steps(declaration)
    elif isinstance(declaration, HubDatasetDeclaration | ExportDeclaration):
        yield from export_steps(declaration)
    else:
        raise TypeError(f"unknown kind of declaration: {type(declaration).__name__}")
