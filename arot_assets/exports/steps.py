"""The step of an export. Only users start it: `arot run` never publishes.

Belongs here: its place in the graph. The work is in ``publish.py``.
"""

from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.steps import Key, State, Step
from arot_assets.subsets.steps import model_path

EXPORTS = "exports"


def export_path(name: str) -> Key:
    """The key of an export."""
    return (EXPORTS, name)


def export_steps(declaration: HubDatasetDeclaration) -> list[Step]:
    """The single step of an export; when it runs, it compares what is published with the repository itself."""
    return [
        Step(
            keys=(export_path(declaration.name),),
            upstream=(model_path(declaration.subset),),
            state=lambda _look: State(current=False),
            by_hand=True,
        )
    ]
