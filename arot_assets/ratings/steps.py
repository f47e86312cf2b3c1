"""The steps of ratings, and whether they are current.

Belongs here: the question that `arot run` and `arot status` ask. The work is in ``build.py``.
"""

from arot_assets.datasets.steps import CONSERVATION, samples_path
from arot_assets.metrics.steps import metric_path
from arot_assets.ratings.build import CONTENT, SOURCES, inputs_digest
from arot_assets.ratings.collect import sources_mark
from arot_assets.ratings.declaration import RatingsDeclaration, RatingSplitRule
from arot_assets.ratings.events import INPUTS
from arot_assets.ratings.groups import PHASH
from arot_assets.ratings.reviews import review_sources
from arot_assets.ratings.split import SPLIT_TABLE, split_inputs
from arot_assets.ratings.trust import LABELS_TABLE, RATERS_TABLE, SCALE_TABLE, trust_inputs
from arot_assets.steps import Check, Key, Look, State, Step
from resources.errors import ArotError
from resources.tables import RATINGS, RatingsRef

NO_LEAK = "no_leak"


def ratings_path(name: str) -> Key:
    """The key of ``ratings.<name>``."""
    return (RATINGS, name)


def trust_paths(name: str) -> tuple[Key, Key, Key]:
    """The keys of what the ratings say together: the scale, the labels, and the raters."""
    return (name, SCALE_TABLE), (name, LABELS_TABLE), (name, RATERS_TABLE)


def rating_steps(declaration: RatingsDeclaration) -> list[Step]:
    """What is made from the ratings, in the order of the work."""
    key, trust = ratings_path(declaration.name), trust_paths(declaration.name)
    return [
        Step(
            keys=(key,),
            upstream=(samples_path(declaration.dataset),),
            state=lambda look: ratings_state(look, declaration),
            checks={key: (Check(CONSERVATION),)},
        ),
        Step(
            keys=trust,
            upstream=(key,),
            state=lambda look: trust_state(look, declaration),
            checks={trust[2]: tuple(Check(name) for name in floor_names(declaration))},
        ),
        *([_split_step(declaration, declaration.split)] if declaration.split is not None else []),
    ]


def split_path(name: str) -> Key:
    """The key of ``<name>.split``."""
    return (name, SPLIT_TABLE)


def split_sources(declaration: RatingsDeclaration, rule: RatingSplitRule) -> tuple[Key, ...]:
    """What a division is made from, besides its queries."""
    scale, labels, _ = trust_paths(declaration.name)
    hashes = () if rule.near_duplicate_distance is None else (metric_path(declaration.dataset, PHASH),)
    return (scale, labels, *hashes)


def _split_step(declaration: RatingsDeclaration, rule: RatingSplitRule) -> Step:
    key = split_path(declaration.name)
    return Step(
        keys=(key,),
        upstream=split_sources(declaration, rule),
        state=lambda look: split_state(look, declaration),
        checks={key: (Check(NO_LEAK),)},
    )


def split_state(look: Look, declaration: RatingsDeclaration) -> State:
    """Whether the division is the one that would be made now."""
    tables, ref = look.resources.tables, RatingsRef(declaration.name, SPLIT_TABLE)
    footer = tables.footer_if_any(ref)
    if footer is None:
        return State(False)
    try:
        current = footer.get(INPUTS) == split_inputs(look.connection(), tables, declaration).digest
    except ArotError:  # the run reports why
        current = False
    return State(current, rows=tables.num_rows(ref))


def floor_names(declaration: RatingsDeclaration) -> list[str]:
    """The checks of declared floors, by name."""
    return [f"floor_of_{name}" for name, floor in declaration.floors if floor is not None]


def ratings_state(look: Look, declaration: RatingsDeclaration) -> State:
    """Whether all that the sources say has been taken in, and joined to the samples there are.

    If sources may not be listed, what they were when they were last read counts. A source that cannot be read is not current,
    so that the run reports why.
    """
    tables, ref = look.resources.tables, RatingsRef(declaration.name)
    footer = tables.footer_if_any(ref)
    if footer is None:
        return State(False)
    try:
        sources = [*declaration.sources, *review_sources(declaration.name)]
        mark = sources_mark(tables, sources) if look.sources else footer.get(SOURCES, "")
        current = footer.get(INPUTS) == inputs_digest(look.resources.warehouse, declaration, mark)
    except ArotError:
        current = False
    return State(current, rows=tables.num_rows(ref))


def trust_state(look: Look, declaration: RatingsDeclaration) -> State:
    """Whether the scale, the labels and the raters are made from the ratings that there are."""
    tables, name = look.resources.tables, declaration.name
    ratings = tables.footer_if_any(RatingsRef(name))
    if ratings is None:
        return State(False, waits=(f"ratings/{name}",))
    wanted = trust_inputs(declaration, ratings[CONTENT])
    made = [tables.footer_if_any(RatingsRef(name, table)) for _, table in trust_paths(name)]
    current = all(footer is not None and footer.get(INPUTS) == wanted for footer in made)
    scale = RatingsRef(name, SCALE_TABLE)
    return State(current, rows=tables.num_rows(scale) if made[0] is not None else 0)
