"""Checks of ratings: conservation of events, and the declared floors.

Belongs here: one check per rule. Does not belong here: the rules themselves, if another module has them.
"""

from collections.abc import Callable, Iterator, Mapping

import dagster as dg

from arot_assets.datasets.steps import CONSERVATION
from arot_assets.failures import fails_in_words
from arot_assets.ratings.assets import ratings_key
from arot_assets.ratings.build import not_conserved
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.split import leaks
from arot_assets.ratings.steps import NO_LEAK, split_path, trust_paths
from arot_assets.ratings.trust import Trust, read_trust
from resources.tables import Tables
from resources.warehouse import Warehouse

FIGURES: Mapping[str, Callable[[Trust], float]] = {
    "alpha": lambda trust: trust.scores.value if trust.scores.units else trust.classes.value,
    "self_consistency": lambda trust: trust.self_consistency.value,
    "matched": lambda trust: trust.matched,
    "ratings": lambda trust: trust.ratings,
}
"""Floor -> the figure that must reach it."""


def rating_checks(declaration: RatingsDeclaration) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of one ratings."""
    yield _conservation(declaration.name)
    if declaration.split is not None:
        yield _no_leak(declaration)
    for name, figure in FIGURES.items():
        floor = getattr(declaration.floors, name)
        if floor is not None:
            yield _floor(declaration.name, name, floor, figure)


def _no_leak(declaration: RatingsDeclaration) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(list(split_path(declaration.name))),
        name=NO_LEAK,
        blocking=True,
        description="No group is in two shares, and nothing to train on is in a declared evaluation set.",
    )
    @fails_in_words
    def no_leak(tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        with warehouse.connect() as con:
            found = leaks(con, tables, declaration)
        return dg.AssetCheckResult(
            passed=not found,
            metadata={
                name: f"{len(samples):,}, for example {', '.join(samples[:5])}" for name, samples in found.items()
            },
        )

    return no_leak


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


def _floor(ratings: str, name: str, floor: float, figure: Callable[[Trust], float]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(list(trust_paths(ratings)[2])),
        name=f"floor_of_{name}",
        description=f"{name.replace('_', '-')} reaches the declared floor, {floor:g}.",
    )
    @fails_in_words
    def reaches(tables: dg.ResourceParam[Tables]) -> dg.AssetCheckResult:
        trust = read_trust(tables, ratings)
        value = figure(trust) if trust is not None else float("nan")
        if value != value:  # not defined: nobody rated the same sample as another, or again
            return dg.AssetCheckResult(passed=False, description=f"{name} is not defined: there are too few ratings")
        text = f"{name} is {value:.3f}, the floor is {floor:g}"
        return dg.AssetCheckResult(passed=value >= floor, description=text, metadata={name: value})

    return reaches
