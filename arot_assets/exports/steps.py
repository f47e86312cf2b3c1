"""The step of an export. Only users start it: `arot run` never publishes or exports.

Belongs here: its place in the graph. The work is in ``publish.py`` and ``build.py``.
"""

from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.export import ExportDeclaration
from arot_assets.steps import Check, Key, State, Step
from arot_assets.subsets.steps import model_path

EXPORTS = "exports"
SEES = "trainer_sees_all"
"""The check that every trainer will see N of N."""


def export_path(name: str) -> Key:
    """The key of an export."""
    return (EXPORTS, name)


def export_steps(declaration: HubDatasetDeclaration | ExportDeclaration) -> list[Step]:
    """The single step of an export; when it runs, it finds out itself whether anything changed."""
    key = export_path(declaration.name)
    training = isinstance(declaration, ExportDeclaration)
    subsets = tuple(declaration.parts) if isinstance(declaration, ExportDeclaration) else (declaration.subset,)
    return [
        Step(
            keys=(key,),
            upstream=tuple(model_path(subset) for subset in subsets),
            state=lambda _look: State(current=False),
            by_hand=True,
            checks={key: (Check(SEES),)} if training else {},
        )
    ]
