"""Checks of datasets: nothing is lost.

Belongs here: the conservation check of ``samples``, and how every conservation check is shown. The comparison is in
``conservation.py``.
"""

from collections.abc import Iterator

import dagster as dg

from arot_assets.datasets.assets import samples_key
from arot_assets.datasets.conservation import ConservationResult, samples_conserved
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.steps import CONSERVATION
from arot_assets.failures import fails_in_words
from arot_assets.metadata import markdown_table
from resources.warehouse import Warehouse


def dataset_checks(declaration: DatasetDeclaration) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of one dataset."""
    yield _samples_conservation(declaration.name)


def _samples_conservation(dataset: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=samples_key(dataset),
        name=CONSERVATION,
        blocking=True,
        description="Exactly one row for every object of every shard that has been processed.",
    )
    @fails_in_words
    def conservation(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        return conservation_result(samples_conserved(warehouse, dataset))

    return conservation


def conservation_result(found: ConservationResult) -> dg.AssetCheckResult:
    """The result of a comparison as a check shows it."""
    return dg.AssetCheckResult(
        passed=found.holds,
        severity=dg.AssetCheckSeverity.ERROR,
        description=str(found),
        metadata={
            "expected": found.expected,
            "lost": found.lost,
            "extra": found.extra,
            "examples": markdown_table(found.examples),
        },
    )
