"""The step of a table of neighbours, and whether it is current.

Belongs here: the question that `arot run` and `arot status` ask. The work is in ``build.py``.
"""

from arot_assets.datasets.steps import CONSERVATION, samples_path
from arot_assets.metrics.steps import metric_path
from arot_assets.neighbours.declaration import NeighboursDeclaration
from arot_assets.neighbours.table import INPUTS, inputs_digest
from arot_assets.steps import Check, Key, Look, State, Step


def neighbours_path(declaration: NeighboursDeclaration) -> Key:
    """The key of a declaration's table."""
    return (declaration.dataset, declaration.name)


def upstream_of(declaration: NeighboursDeclaration) -> tuple[Key, ...]:
    """What it is found from."""
    return (samples_path(declaration.dataset), metric_path(declaration.dataset, declaration.table))


def neighbours_steps(declaration: NeighboursDeclaration) -> list[Step]:
    """The single step of a declaration: a table of all shards, made in one go."""
    key = neighbours_path(declaration)
    return [
        Step(
            keys=(key,),
            upstream=upstream_of(declaration),
            state=lambda look: neighbours_state(look, declaration),
            checks={key: (Check(CONSERVATION),)},
        )
    ]


def neighbours_state(look: Look, declaration: NeighboursDeclaration) -> State:
    """Whether the table was made from the vectors of now, all of them."""
    tables, dataset = look.resources.tables, declaration.dataset
    shards = tables.shards(dataset, declaration.table)
    if not shards:
        return State(current=False, waits=(f"{dataset}/{declaration.table}",))
    footers = tables.footers(dataset, declaration.name)
    wanted = inputs_digest(look, declaration)
    current = set(footers) == set(shards) and all(f.strings.get(INPUTS) == wanted for f in footers.values())
    rows = sum(f.num_rows for f in footers.values()) if current else 0
    return State(current, rows=rows)
