"""Checks of classifiers: the gate, the split, and conservation of the scores.

Belongs here: one check per rule. Does not belong here: the rules themselves, if another module has them.
"""

from collections.abc import Iterator

import dagster as dg

from arot_assets.classifiers.assets import unpartitioned_keys
from arot_assets.classifiers.declaration import ERRORS, ClassifierDeclaration
from arot_assets.classifiers.promotion import classifier_file, decisions, latest
from arot_assets.classifiers.split import HELD, leaking_groups
from arot_assets.classifiers.steps import GOOD_ENOUGH, NO_LEAK
from arot_assets.failures import fails_in_words
from arot_assets.metrics.checks import conservation_check
from arot_assets.ratings.split import trained_on
from resources.tables import Tables
from resources.warehouse import Warehouse


def classifier_checks(declaration: ClassifierDeclaration) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of one classifier."""
    yield _split_does_not_leak(declaration)
    yield _good_enough(declaration)
    yield conservation_check(declaration.dataset, declaration.name)
    for name, dataset in declaration.elsewhere.items():
        yield conservation_check(name, declaration.name, several=bool(dataset.medium.tables))


def _split_does_not_leak(declaration: ClassifierDeclaration) -> dg.AssetChecksDefinition:
    name = declaration.name

    @dg.asset_check(
        asset=unpartitioned_keys(name)[1],
        name=NO_LEAK,
        blocking=True,
        description="No group is in more than one split, and nothing to train on is in an evaluation set that ratings declare.",
    )
    @fails_in_words
    def no_leak(tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        split = tables.read(classifier_file(name, "split.parquet"), columns=["sample_id", "group_id", "split"])
        leaking, sets = leaking_groups(split), declaration.every_evaluation_set()
        held: dict[str, list[str]] = {}
        if sets:
            with warehouse.connect() as con:
                used = [row for row in split.to_pylist() if row["split"] != HELD]
                held = trained_on(con, name, used, sets)
        return dg.AssetCheckResult(
            passed=not leaking and not held,
            metadata={
                "groups in two splits": len(leaking),
                "for example": ", ".join(leaking[:5]),
                **{f"in {of}": f"{len(ids):,}, for example {', '.join(ids[:5])}" for of, ids in held.items()},
            },
        )

    return no_leak


def _good_enough(declaration: ClassifierDeclaration) -> dg.AssetChecksDefinition:
    name = declaration.name

    @dg.asset_check(
        asset=unpartitioned_keys(name)[2],
        name=GOOD_ENOUGH,
        description="The most recently trained model is promoted: it reaches promote_if ("
        + (", ".join(f"{k} {'<=' if k in ERRORS else '>='} {v:g}" for k, v in declaration.gate.items()) or "anything")
        + ") and is not worse than the one that scores.",
    )
    @fails_in_words
    def good_enough(tables: dg.ResourceParam[Tables]) -> dg.AssetCheckResult:
        last, made = latest(tables, name), decisions(tables, name)
        missed = last.missed if last else "no model was trained"
        about = [
            one for one in made if last and one.digest == last.digest
        ]  # other labels may judge the same weights again
        by_hand = about[-1] if about and about[-1].choice != "kept" else None
        return dg.AssetCheckResult(
            passed=not missed or by_hand is not None,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{by_hand.choice}: {by_hand.reason}" if missed and by_hand else missed or "promoted",
            metadata={"reason": made[-1].reason} if made else {},
        )

    return good_enough
