"""The steps of a dataset: its inventory and its samples, and whether they are current.

Belongs here: the question that `arot run` and `arot status` ask of the two assets. The work is in ``inventory.py`` and
``samples.py``.
"""

import json
from collections import Counter
from datetime import UTC, datetime

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.duplicates import is_settled
from arot_assets.datasets.inventory import NOT_TAKEN, PROBLEMS, record, survey
from arot_assets.datasets.samples import FAILED, samples_version
from arot_assets.datasets.shards import objects_of, sharded_state
from arot_assets.steps import Check, Key, Look, State, Step
from resources.defaults import Resources
from resources.errors import ArotError
from resources.tables import INVENTORY, SAMPLES, TableRef

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
            upstream=(),
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
    """Whether the inventory shows what the source shows, and the samples which of equal objects is the first in it.

    Where sources may be listed this one is, and that its objects were seen again is noted. Else what is known counts. A
    source that cannot be listed is not current, so that the run tells why.
    """
    objects = objects_of(look, declaration.name)
    counts: Counter[str] = Counter()
    for (state, _), number in (objects or {}).items():
        counts[state] += number
    current = objects is not None and is_settled(look.resources.tables, declaration.name)
    current = current and (not look.sources or _seen_again(look, declaration))
    return State(current, rows=counts.total(), counts=dict(counts))


def _seen_again(look: Look, declaration: DatasetDeclaration) -> bool:
    """Whether the source shows what the inventory knows; noted there if so."""
    tables = look.resources.tables
    try:
        found = survey(look.resources.storage, tables, declaration, datetime.now(UTC))
        if not found.changes.differs:
            record(tables, declaration.name, found)
    except ArotError:
        return False
    return not found.changes.differs


def samples_state(look: Look, declaration: DatasetDeclaration) -> State:
    """Which shards have their samples, read by this version of the code under these limits."""
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
    left = f"; not taken: {footer[NOT_TAKEN]}" if footer.get(NOT_TAKEN) else ""
    return [f"{footer['change']}{left}", *footer.get(PROBLEMS, "").splitlines()]
