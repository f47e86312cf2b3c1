"""The checks of duplicates: no picture of an evaluation set is in its training set.

Belongs here: declaring the checks and what the UI shows of them. Does not belong here: finding leaks (``leaks.py``).
"""

import dagster as dg

from arot_assets.duplicates.declaration import DuplicatesDeclaration, Leak
from arot_assets.duplicates.steps import duplicates_path, leak_check
from arot_assets.failures import fails_in_words
from arot_assets.metadata import markdown_table
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse

MOST_SHOWN = 50


def duplicates_checks(declaration: DuplicatesDeclaration) -> list[dg.AssetChecksDefinition]:
    """A check for each declared pair of subsets."""
    return [_check(declaration, leak) for leak in declaration.leaks]


def _check(declaration: DuplicatesDeclaration, leak: Leak) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(duplicates_path(declaration.dataset)),
        name=leak_check(leak),
        additional_deps=[dg.AssetKey(["models", leak.training]), dg.AssetKey(["models", leak.evaluation])],
        description=f"No picture of `{leak.evaluation}` is in `{leak.training}`, nor one within {declaration.bits} bits, "
        "mirrored or not.",
    )
    @fails_in_words
    def leaks(
        storage: dg.ResourceParam[Storage], tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.AssetCheckResult:
        from arot_assets.duplicates.leaks import find_leaks
        from resources.defaults import Resources

        found = find_leaks(leak, Resources(storage, tables, warehouse, Models()), declaration.bits)
        shown = [
            {"evaluation": one.evaluation, "training": one.training, "evidence": one.kind, "bits": one.bits}
            for one in found[:MOST_SHOWN]
        ]
        return dg.AssetCheckResult(
            passed=not found,
            description=f"{len(found):,} samples of {leak.evaluation} are in {leak.training}, or nearly",
            metadata={"leaks": len(found), **({"pairs": markdown_table(shown)} if shown else {})},
        )

    return leaks
