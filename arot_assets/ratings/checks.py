"""Checks of ratings: conservation of events, and the declared floors.

Belongs here: one check per rule. Does not belong here: the rules themselves, if another module has them.
"""

from collections.abc import Iterator

import dagster as dg

from arot_assets.datasets.steps import CONSERVATION
from arot_assets.failures import fails_in_words
from arot_assets.ratings.assets import ratings_key
from arot_assets.ratings.build import not_conserved
from arot_assets.ratings.declaration import RatingsDeclaration
from resources.tables import Tables


def rating_checks(declaration: RatingsDeclaration) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of one ratings."""
    yield _conservation(declaration.name)


def _conservation(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=ratings_key(name),
        name=CONSERVATION,
        blocking=True,
        description="Every event has exactly one row, whatever became of it.",
    )
    @fails_in_words
    def conservation(tables: dg.ResourceParam[Tables]) -> dg.AssetCheckResult:
        lost = not_conserved(tables, name)
        return dg.AssetCheckResult(
            passed=not lost, metadata={"events without one row": len(lost), "for example": ", ".join(lost[:5])}
        )

    return conservation
