"""The steps of ratings, and whether they are current.

Belongs here: the question that `arot run` and `arot status` ask. The work is in ``build.py``.
"""

from arot_assets.datasets.steps import CONSERVATION, samples_path
from arot_assets.ratings.build import INPUTS, SOURCES, inputs_digest
from arot_assets.ratings.collect import sources_mark
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.reviews import review_sources
from arot_assets.steps import Check, Key, Look, State, Step
from resources.errors import ArotError
from resources.tables import RATINGS, RatingsRef


def ratings_path(name: str) -> Key:
    """The key of ``ratings.<name>``."""
    return (RATINGS, name)


def rating_steps(declaration: RatingsDeclaration) -> list[Step]:
    """What is made from the ratings, in the order of the work."""
    key = ratings_path(declaration.name)
    return [
        Step(
            keys=(key,),
            upstream=(samples_path(declaration.dataset),),
            state=lambda look: ratings_state(look, declaration),
            checks={key: (Check(CONSERVATION),)},
        )
    ]


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
