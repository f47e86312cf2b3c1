"""The steps of a dataset: its inventory and its samples, and whether they are current.

Belongs here: whether the two assets are current, as `arot run` and `arot status` ask. The work is in ``inventory.py``
and ``samples.py``.
"""

import json
from collections import Counter
from datetime import UTC, datetime

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.duplicates import is_settled
from arot_assets.datasets.inventory import NOT_TAKEN, PROBLEMS, seen_again
from arot_assets.datasets.samples import FAILED, samples_version
from arot_assets.datasets.shards import objects_of, sharded_state
from arot_assets.steps import Check, Key, Look, State, Step
from resources.defaults import Resources
from resources.errors import ArotError
from resources.tables import INVENTORY, SAMPLES, Holder, TableRef

CONSERVATION = "conservation"


def inventory_path(dataset: str) -> Key:
    """The key of a dataset's inventory."""
    return (dataset, INVENTORY)


def samples_path(dataset: str) -> Key:
    """The key of a dataset's samples."""
    return (dataset, SAMPLES)


def dataset_steps(declaration: DatasetDeclaration) -> list[Step]:
    """Inventory and samples of one dataset."""
    dataset = declaration.name
    return [
        Step(
            keys=(inventory_path(dataset),),
            upstream=declaration.made_from,
            state=lambda look: inventory_state(look, declaration),
            told=lambda resources: _told(resources, dataset),
        ),
        Step(
            keys=(samples_path(dataset),),
            upstream=(inventory_path(dataset),),
            state=lambda look: samples_state(look, declaration),
            dataset=dataset,
            retries=True,
            checks={samples_path(dataset): (Check(CONSERVATION),)},
        ),
    ]


def inventory_state(look: Look, declaration: DatasetDeclaration) -> State:
    """Whether the inventory matches the source, and whether the samples mark the first of equal objects.

    If sources may be listed, this one is, and the inventory records that its objects were seen again. Otherwise the
    last known state counts. A source that cannot be listed is not current, so that the run reports why.
    """
    objects = objects_of(look, declaration.name)
    counts: Counter[str] = Counter()
    for (state, _), number in (objects or {}).items():
        counts[state] += number
    current = objects is not None and is_settled(look.resources.tables, declaration.name)
    current = current and (not look.sources or _seen_again(look, declaration))
    return State(current, rows=counts.total(), counts=dict(counts))


def _seen_again(look: Look, declaration: DatasetDeclaration) -> bool:
    """Whether the source matches the inventory; if so, the inventory records it. While another run lists the source, that
    is not known: whoever wants to know waits for it."""
    tables = look.resources.tables
    try:
        hold = tables.leases.take([TableRef(declaration.name, INVENTORY)])
        if isinstance(hold, Holder):
            return False
        with hold:
            return seen_again(look.resources.storage, tables, declaration, datetime.now(UTC))
    except ArotError:
        return False


def samples_state(look: Look, declaration: DatasetDeclaration) -> State:
    """Which shards have samples that were read by this version of the code with these limits."""
    version = samples_version(declaration)
    return sharded_state(
        look,
        declaration.name,
        SAMPLES,
        lambda _shard: {"samples_version": version},
        lambda footer: sum(json.loads(footer["statuses"]).get(status, 0) for status in FAILED),
    )


def _told(resources: Resources, dataset: str) -> list[str]:
    footer = resources.tables.footer(TableRef(dataset, INVENTORY))
    left = f"; not included: {footer[NOT_TAKEN]}" if footer.get(NOT_TAKEN) else ""
    return [f"{footer['change']}{left}", *footer.get(PROBLEMS, "").splitlines()]
