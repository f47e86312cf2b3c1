"""The step of a dataset's duplicates, and whether it is current.

Belongs here: the question that `arot run` and `arot status` ask. The work is in ``build.py``.
"""

from arot_assets.datasets.steps import samples_path
from arot_assets.duplicates.build import DIGEST, DUPLICATES, EDGES, HASHES, inputs_digest
from arot_assets.duplicates.declaration import DuplicatesDeclaration, Leak
from arot_assets.metrics.steps import metric_path
from arot_assets.steps import Key, Look, State, Step
from resources.tables import ModelRef, TableRef


def duplicates_path(dataset: str) -> Key:
    """The key of a dataset's duplicates."""
    return (dataset, DUPLICATES)


def upstream_of(declaration: DuplicatesDeclaration) -> tuple[Key, ...]:
    """What the duplicates are found from."""
    tables = [HASHES, *([declaration.embedding] if declaration.embedding else [])]
    preference = [("models", declaration.keep_by)] if declaration.keep_by else []
    return (samples_path(declaration.dataset), *(metric_path(declaration.dataset, t) for t in tables), *preference)


def leak_check(leak: Leak) -> str:
    """The name of the check of two models."""
    return f"no_leak_from_{leak.evaluation}_into_{leak.training}"


def duplicates_steps(declaration: DuplicatesDeclaration) -> list[Step]:
    """The single step of a declaration."""
    key = duplicates_path(declaration.dataset)
    return [
        Step(
            keys=(key,),
            upstream=upstream_of(declaration),
            state=lambda look: duplicates_state(look, declaration),
        )
    ]


def duplicates_state(look: Look, declaration: DuplicatesDeclaration) -> State:
    """Whether both tables were made from the samples, hashes and embeddings of now."""
    tables, dataset = look.resources.tables, declaration.dataset
    needed = [HASHES, *([declaration.embedding] if declaration.embedding else [])]
    missing = [f"{dataset}/{table}" for table in needed if not tables.shards(dataset, table)]
    if declaration.keep_by and not tables.exists(ModelRef(declaration.keep_by)):
        missing.append(f"models/{declaration.keep_by}")
    if missing:
        return State(current=False, waits=tuple(missing))
    wanted = inputs_digest(declaration, tables)
    refs = [TableRef(dataset, name) for name in (DUPLICATES, EDGES)]
    current = all((tables.footer_if_any(ref) or {}).get(DIGEST) == wanted for ref in refs)
    return State(current, rows=tables.num_rows(refs[0]) if current else 0)
