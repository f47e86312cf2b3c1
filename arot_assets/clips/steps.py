"""The step that cuts the clips of a dataset, and whether it is current.

Belongs here: the question that `arot run` and `arot status` ask. The work is in ``dataset.py``.
"""

from arot_assets.clips.cutting import FAILED
from arot_assets.clips.dataset import ClipsDeclaration, cut_table, is_current
from arot_assets.errors import ProjectError
from arot_assets.steps import Check, Key, Look, State, Step
from arot_assets.subsets.steps import model_path
from resources.tables.refs import CUT

CONSERVATION = "conservation"
DECODED = "decoded"


def cut_path(dataset: str) -> Key:
    """The key of the clips' files and their table."""
    return (dataset, CUT)


def upstream_of(declaration: ClipsDeclaration) -> tuple[Key, ...]:
    """What clips are cut from."""
    return (model_path(declaration.cutting.model), (declaration.cutting.films, DECODED))


def clip_steps(declaration: ClipsDeclaration) -> list[Step]:
    """The single step of a declaration."""
    key = cut_path(declaration.name)
    return [
        Step(
            keys=(key,),
            upstream=upstream_of(declaration),
            state=lambda look: cut_state(look, declaration),
            checks={key: (Check(CONSERVATION),)},
        )
    ]


def cut_state(look: Look, declaration: ClipsDeclaration) -> State:
    """Whether the clips of the model as it is now are there."""
    tables, ref = look.resources.tables, cut_table(declaration.name)
    try:
        current = is_current(tables, look.connection(), declaration)
    except ProjectError:
        return State(current=False, waits=("/".join(model_path(declaration.cutting.model)),))
    if not tables.exists(ref):
        return State(current=False)
    return State(current, rows=tables.num_rows(ref), failed=int(tables.footer(ref).get(FAILED, "0")))
