"""The graph of steps for everything declared, which `arot run` and `arot status` walk.

Belongs here: putting it together. Does not belong here: the steps (the rooms' ``steps.py``), which kind of declaration has
which (``declarations/kinds/``), what a graph is (``steps.py``).
"""

from arot_assets.declarations import Declarations
from arot_assets.declarations.kinds import kind_of
from arot_assets.steps import Graph
from arot_assets.subsets.project import Project
from arot_assets.subsets.steps import model_steps, source_tests


def project_graph(declared: Declarations, project: Project) -> Graph:
    """The steps of all declarations and SQL models."""
    steps = [step for one in declared.all() for step in kind_of(type(one)).steps(one)]
    return Graph([*steps, *model_steps(project)], source_tests(project))
