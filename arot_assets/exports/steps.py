"""The step of an export. A person starts it: `arot run` never publishes.

Belongs here: where it is in the graph. The work is in ``publish.py``.
"""

from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.steps import Key, State, Step
from arot_assets.subsets.steps import model_path

EXPORTS = "exports"


def export_path(name: str) -> Key:
    """The key of an export."""
    return (EXPORTS, name)


def export_steps(declaration: HubDatasetDeclaration) -> list[Step]:
    """The one step of an export; what is published is compared when it runs, with the repository itself."""
    return [
        Step(
            keys=(export_path(declaration.name),),
            upstream=(model_path(declaration.subset),),
            state=lambda _look: State(current=False),
            by_hand=True,
        )
    ]
